#include "net/api/records.hpp"

#include "domain/cron_description.hpp"

namespace skyengine::net::api {

namespace {

void write_failure(json_writer& out, const std::optional<error>& failure) {
  out.key("error");
  if (!failure) {
    out.value(std::nullopt);
    return;
  }
  out.begin_object();
  out.member("code", to_string(failure->code));
  out.member("detail", failure->detail);
  out.end_object();
}

} // namespace

void write_amount(json_writer& out, std::string_view name, money sum, const currency_code& currency) {
  out.key(name);
  out.begin_object();
  out.member("amount", to_string(sum));
  out.member("currency", currency);
  out.end_object();
}

void begin_server(json_writer& out, const server& one, record_form form) {
  out.begin_object();
  out.member("id", one.id);
  out.member("userId", one.order.user);
  out.member("planId", one.order.plan);
  out.member("region", one.order.region);
  out.member("hostname", one.effective_hostname());
  out.member("state", to_string(one.state));
  out.member("power", to_string(one.power));
  out.key("virtfusionId");
  if (one.virtfusion_id && form == record_form::old)
    out.value(std::to_string(one.virtfusion_id->value));
  else
    out.value(one.virtfusion_id);
  out.array("ipv4", one.ipv4);
  out.array("ipv6", one.ipv6);
  out.key("labels");
  out.begin_object();
  for (const auto& [name, value] : one.order.labels)
    out.member(name, value);
  out.end_object();
  out.member("externalReference", one.order.external_reference);
  out.member("osTemplateId", one.order.os_template);
  out.member("actionId", one.action);
  out.member("deleteRequested", one.delete_requested);
  out.member("createdAt", one.created_at);
  out.optional_member("activeAt", one.active_at);
  out.optional_member("deletedAt", one.deleted_at);
}

void write(json_writer& out, const server& one) {
  begin_server(out, one);
  out.end_object();
}

void write(json_writer& out, const server_event& one) {
  out.begin_object();
  out.member("id", one.id);
  out.member("at", one.at);
  out.member("type", one.type);
  out.key("from");
  one.from ? out.value(to_string(*one.from)) : out.value(std::nullopt);
  out.key("to");
  one.to ? out.value(to_string(*one.to)) : out.value(std::nullopt);
  out.member("actionId", one.action);
  out.key("detail");
  out.raw(one.detail);
  out.end_object();
}

void write(json_writer& out, const action& one) {
  out.begin_object();
  out.member("id", one.id);
  out.member("kind", to_string(one.kind));
  out.member("serverId", one.server);
  out.member("state", to_string(one.state));
  out.member("step", to_string(one.step));
  out.member("progress", progress_of(one.step));
  write_failure(out, one.failure);
  out.member("requestedBy", one.requested_by);
  out.member("createdAt", one.created_at);
  out.member("finishedAt", one.finished_at);
  out.end_object();
}

void write(json_writer& out, const plan& one) {
  out.begin_object();
  out.member("id", one.id);
  out.member("name", one.name);
  write_amount(out, "price", one.terms.monthly_price, one.currency);
  out.member("virtfusionPackageId", one.package);
  out.member("hoursPerMonth", one.terms.hours_per_month);
  out.member("basis", to_string(one.terms.basis));
  out.member("granularity", to_string(one.terms.granularity));
  out.array("osTemplateIds", one.os_templates);
  out.member("ipv6", one.ipv6);
  out.member("active", one.active);
  out.end_object();
}

void write(json_writer& out, const region& one) {
  out.begin_object();
  out.member("id", one.id);
  out.member("name", one.name);
  out.member("virtfusionHypervisorGroupId", one.group);
  out.member("active", one.active);
  out.end_object();
}

void write(json_writer& out, const user& one) {
  out.begin_object();
  out.member("id", one.id);
  out.member("name", one.name);
  out.member("email", one.email);
  out.member("currency", one.currency);
  out.member("taxBasisPoints", one.tax_basis_points);
  out.member("locale", one.locale);
  out.member("timezone", one.timezone);
  out.member("virtfusionUserId", one.virtfusion_id);
  out.key("spendingLimits");
  out.begin_object();
  if (one.limits.alert_at)
    write_amount(out, "alertAt", *one.limits.alert_at, one.currency);
  if (one.limits.suspend_at)
    write_amount(out, "suspendAt", *one.limits.suspend_at, one.currency);
  out.end_object();
  out.end_object();
}

void write(json_writer& out, const api_key& one, const std::string& text) {
  out.begin_object();
  out.member("id", one.id);
  if (!text.empty())
    out.member("key", text);
  out.member("name", one.name);
  if (one.user)
    out.member("userId", *one.user);
  else
    out.member("operator", true);
  out.array("scopes", one.scopes);
  out.member("createdAt", one.created_at);
  out.optional_member("revokedAt", one.revoked_at);
  out.end_object();
}

void write(json_writer& out,
           const schedule& one,
           const std::vector<std::chrono::sys_seconds>& next,
           const std::optional<schedule_run>& last_run) {
  out.begin_object();
  out.member("name", one.name);
  out.member("expression", one.expression);
  const auto parsed = parse_cron(one.expression);
  out.member("description", parsed ? std::optional{describe(*parsed)} : std::nullopt);
  out.member("timezone", one.timezone);
  out.member("paused", one.is_paused);
  out.member("note", one.note);
  out.member("catchUp", to_string(one.catch_up));
  out.member("catchUpWindow", one.catch_up_window.count());
  out.member("overlap", to_string(one.overlap));
  out.member("timeout", one.timeout.count());
  out.member("jitter", one.jitter.count());
  out.member("retries", one.retries);
  out.member("alertAfter", one.alert_after);
  out.member("pauseAfter", one.pause_after);
  out.member("failures", one.failures);
  out.key("nextAt");
  one.next_at ? out.value(instant{*one.next_at}) : out.value(std::nullopt);
  out.key("next");
  out.begin_array();
  for (const auto at : next)
    out.value(instant{at});
  out.end_array();
  out.key("lastRun");
  if (last_run)
    write(out, *last_run, one.name);
  else
    out.value(std::nullopt);
  out.end_object();
}

void write(json_writer& out, const schedule_run& one, std::string_view owner) {
  out.begin_object();
  out.member("id", one.id);
  out.member("schedule", owner);
  out.member("scheduledAt", instant{one.scheduled_at});
  out.member("startedAt", one.started_at);
  out.member("endedAt", one.ended_at);
  out.member("notBefore", one.not_before);
  out.member("state", to_string(one.state));
  out.member("manual", one.is_manual);
  out.member("node", one.node);
  out.member("attempts", one.attempts);
  out.key("figures");
  out.raw(one.figures);
  write_failure(out, one.failure);
  out.end_object();
}

void write(json_writer& out, const db::hold_record& one) {
  out.begin_object();
  out.member("id", one.id);
  out.optional_member("serverId", one.server);
  out.member("userId", one.user);
  out.member("kind", one.kind);
  out.member("reason", one.reason);
  out.member("from", one.from);
  out.member("createdAt", one.created_at);
  out.member("createdBy", one.created_by);
  out.member("until", one.until);
  out.key("outcome");
  one.outcome ? out.value(to_string(*one.outcome)) : out.value(std::nullopt);
  out.member("endedBy", one.ended_by);
  out.end_object();
}

void write(json_writer& out, const db::drift_record& one) {
  out.begin_object();
  out.member("id", one.id);
  out.member("kind", to_string(one.kind));
  out.member("serverId", one.server);
  out.member("virtfusionId", one.virtfusion_id);
  out.member("state", to_string(one.state));
  out.member("seen", one.seen);
  out.key("detail");
  out.raw(one.detail);
  out.member("firstSeenAt", one.first_seen);
  out.member("lastSeenAt", one.last_seen);
  out.member("holdId", one.hold);
  out.key("resolution");
  one.resolution ? out.value(to_string(*one.resolution)) : out.value(std::nullopt);
  out.member("endedAt", one.ended_at);
  out.member("endedBy", one.ended_by);
  out.end_object();
}

} // namespace skyengine::net::api
