#include "tests/simulator/archive.hpp"
#include "tests/simulator/model.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace skyengine::simulator {
namespace {

namespace json = boost::json;
using archive::append_line;
using archive::parse;

void append_number(std::string& out, const char* kind, std::int64_t id) {
  out += json::serialize(json::object{{kind, id}});
  out += '\n';
}

} // namespace

void model::touch(entity what, std::int64_t id) {
  const std::pair change{what, id};
  if (is_recording_ && (changes_.empty() || changes_.back() != change))
    changes_.push_back(change);
}

void model::write_line(std::string& out, entity what, std::int64_t id) const {
  switch (what) {
  case entity::user:
    append_line(out, "user", users_.at(id));
    break;
  case entity::server:
    if (const auto* const s = find_server(id))
      append_line(out, "server", *s);
    break;
  case entity::gone:
    append_line(out, "gone", gone_[gone_by_id_.at(id)]);
    break;
  case entity::ssh_key:
    if (const auto found = ssh_keys_.find(id); found != ssh_keys_.end())
      append_line(out, "key", found->second);
    break;
  case entity::ssh_key_gone:
    append_number(out, "key_gone", id);
    break;
  case entity::schedule:
    if (const auto found = schedules_.find(id); found != schedules_.end())
      append_line(out, "schedule", found->second);
    break;
  case entity::schedule_gone:
    append_number(out, "schedule_gone", id);
    break;
  case entity::queue:
    if (const auto* const item = find_queue_item(id))
      append_line(out, "queue", *item);
    break;
  }
}

std::string model::take_changes() {
  std::string out;
  for (const auto& [what, id] : changes_)
    write_line(out, what, id);
  changes_.clear();
  return out;
}

void model::snapshot(const std::function<void(std::string_view lines)>& sink) const {
  // 100,000 servers are 60 MB of text: never all of it at once.
  constexpr std::size_t piece_bytes = 1024 * 1024;
  std::string out;
  const auto add = [&](const char* kind, const auto& entity) {
    append_line(out, kind, entity);
    if (out.size() >= piece_bytes) {
      sink(out);
      out.clear();
    }
  };
  // Ids never come back, so the highest of each kind is kept even when its bearer is gone.
  append_number(out, "last_key", last_ssh_key_);
  append_number(out, "last_schedule", last_schedule_);
  append_number(out, "last_queue", last_queue_item_);
  for (const auto& [id, u] : users_)
    add("user", u);
  for (const auto& [id, key] : ssh_keys_)
    add("key", key);
  for (const auto* const s : order_)
    add("server", *s);
  for (const auto& g : gone_)
    add("gone", g);
  for (const auto& [id, s] : schedules_)
    add("schedule", s);
  for (const auto& [id, item] : queue_)
    add("queue", item);
  sink(out);
}

bool model::restore(std::string_view line) {
  boost::system::error_code failed;
  const auto parsed = json::parse(json::string_view{line.data(), line.size()}, failed);
  if (failed || !parsed.is_object() || parsed.as_object().size() != 1)
    return false;
  const auto& entry = *parsed.as_object().begin();
  const std::string_view kind{entry.key().data(), entry.key().size()};
  const auto& content = entry.value();
  if (kind == "user") {
    auto u = parse<user>(content);
    last_user_ = std::max(last_user_, u.id);
    if (u.ext_relation_id)
      users_by_ext_[*u.ext_relation_id] = u.id;
    if (u.rel_str)
      users_by_rel_str_[*u.rel_str] = u.id;
    users_by_email_[u.email] = u.id;
    users_.insert_or_assign(u.id, std::move(u));
  } else if (kind == "server") {
    auto s = parse<server>(content);
    if (!find_hypervisor(s.hypervisor))
      return false;
    if (s.active.kind != task_kind::none)
      tasks_due_.push({s.active.ends.real, s.id});
    if (s.delete_at)
      deletes_due_.push({*s.delete_at, s.id});
    if (auto* const known = locate(s.id)) {
      if (known->owner != s.owner)
        move_to(*known, s.owner);
      book(*known, -1);
      *known = std::move(s);
      book(*known, 1);
    } else {
      insert(std::move(s));
    }
  } else if (kind == "gone") {
    const auto g = parse<gone_server>(content);
    if (auto* const known = locate(g.id))
      vanish(*known, g.deleted);
    else if (gone_by_id_.emplace(g.id, gone_.size()).second)
      gone_.push_back(g);
    last_server_ = std::max(last_server_, g.id);
  } else if (kind == "key") {
    auto key = parse<ssh_key>(content);
    last_ssh_key_ = std::max(last_ssh_key_, key.id);
    ssh_keys_.insert_or_assign(key.id, std::move(key));
  } else if (kind == "key_gone") {
    ssh_keys_.erase(content.as_int64());
  } else if (kind == "schedule") {
    auto s = parse<schedule>(content);
    last_schedule_ = std::max(last_schedule_, s.id);
    schedules_.insert_or_assign(s.id, std::move(s));
  } else if (kind == "schedule_gone") {
    schedules_.erase(content.as_int64());
  } else if (kind == "queue") {
    const auto item = parse<queue_item>(content);
    last_queue_item_ = std::max(last_queue_item_, item.id);
    queue_.insert_or_assign(item.id, item);
  } else if (kind == "last_key") {
    last_ssh_key_ = std::max(last_ssh_key_, content.as_int64());
  } else if (kind == "last_schedule") {
    last_schedule_ = std::max(last_schedule_, content.as_int64());
  } else if (kind == "last_queue") {
    last_queue_item_ = std::max(last_queue_item_, content.as_int64());
  } else {
    return false;
  }
  return true;
}

} // namespace skyengine::simulator
