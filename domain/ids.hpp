#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace skyengine {

/// A value that converts to and from nothing: two ids of different kinds never meet by mistake.
/// It travels in messages, hence `inspect` (which any inspector with a call operator fits).
template <class Tag, class T>
struct strong_id {
  T value{};

  friend auto operator<=>(const strong_id&, const strong_id&) = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, strong_id& x) {
    return f(x.value);
  }
};

/// The panel's customer; it is VirtFusion's `extRelationId`.
using user_id = strong_id<struct user_tag, std::int64_t>;
/// What is sold, by the operator's own short name (`[a-z0-9-]{1,64}`).
using plan_id = strong_id<struct plan_tag, std::string>;
/// Where it is sold, by the operator's own short name (`[a-z0-9-]{1,64}`).
using region_id = strong_id<struct region_tag, std::string>;
using server_id = strong_id<struct server_tag, std::int64_t>;
using action_id = strong_id<struct action_tag, std::int64_t>;
using event_id = strong_id<struct event_tag, std::int64_t>;
using api_key_id = strong_id<struct api_key_tag, std::int64_t>;
using schedule_id = strong_id<struct schedule_tag, std::int64_t>;
using run_id = strong_id<struct run_tag, std::int64_t>;

/// VirtFusion's own ids.
using virtfusion_server_id = strong_id<struct virtfusion_server_tag, std::int64_t>;
using virtfusion_user_id = strong_id<struct virtfusion_user_tag, std::int64_t>;
using package_id = strong_id<struct package_tag, std::int64_t>;
using hypervisor_group_id = strong_id<struct hypervisor_group_tag, std::int64_t>;
using os_template_id = strong_id<struct os_template_tag, std::int64_t>;
using ssh_key_id = strong_id<struct ssh_key_tag, std::int64_t>;
using backup_plan_id = strong_id<struct backup_plan_tag, std::int64_t>;
using queue_item_id = strong_id<struct queue_item_tag, std::int64_t>;

} // namespace skyengine

template <class Tag, class T>
struct std::hash<skyengine::strong_id<Tag, T>> {
  std::size_t operator()(const skyengine::strong_id<Tag, T>& id) const noexcept {
    return std::hash<T>{}(id.value);
  }
};
