#include "net/virtfusion/failure.hpp"
#include "net/virtfusion/ownership.hpp"
#include "net/virtfusion/records.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace vf = skyengine::net::virtfusion;

namespace {

void demand(bool holds) {
  if (!holds)
    std::abort();
}

bool is_clean(const std::string& text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      return false;
  return true;
}

/// Reads `given` with one of the readers; none may do more than succeed or say why not.
template <class T>
void read_with(skyengine::result<T> (*reader)(const vf::answer&), const vf::answer& given) {
  const auto read = reader(given);
  demand(read.has_value() || read.error().code == skyengine::errc::virtfusion_unavailable);
}

} // namespace

/// The first byte chooses the status, the rest is the body of VirtFusion's answer.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const vf::answer given{
    200U + 2U * data[0], std::string{reinterpret_cast<const char*>(data + 1), size - 1}, {}};
  const vf::answer success{200, given.body, {}};
  read_with(vf::read_nothing, success);
  read_with(vf::read_user, success);
  read_with(vf::read_packages, success);
  read_with(vf::read_groups, success);
  read_with(vf::read_group_resources, success);
  read_with(vf::read_templates, success);
  read_with(vf::read_server_page, success);
  read_with(vf::read_user_servers, success);
  read_with(vf::read_created_server, success);
  read_with(vf::read_build, success);
  read_with(vf::read_queued_task, success);
  read_with(vf::read_package_change, success);
  read_with(vf::read_backups, success);
  read_with(vf::read_traffic, success);
  read_with(vf::read_queue_item, success);
  read_with(vf::read_ssh_key, success);
  read_with(vf::read_ssh_keys, success);
  if (const auto server = vf::read_server(success)) {
    demand(server->id.value > 0);
    demand(!(server->is_built() && server->has_failed()));
    demand(!(server->is_untouched() && server->is_built()));
    vf::check_owner(*server, skyengine::user_id{42});
  }
  if (const auto rooms = vf::read_group_resources(success))
    for (const auto& room : rooms->items)
      demand(!room.free_servers || *room.free_servers >= 0);
  for (const auto& traits : {vf::operation::find_user, vf::operation::get_server})
    if (const auto failure = vf::failure_of(traits, given)) {
      demand(is_clean(failure->text));
      demand(failure->text.size() <= 2'000);
      demand(is_clean(failure->as_error().detail));
    }
  const std::string_view text{given.body};
  if (const auto wait = vf::parse_retry_after(text, std::chrono::sys_seconds{}))
    demand(wait->count() >= 0 && wait->count() <= 3'600);
  vf::parse_panel_time(text);
  demand(is_clean(vf::cleaned(text)));
  return 0;
}
