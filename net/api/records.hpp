#pragma once

#include "db/drift_store.hpp"
#include "db/hold_store.hpp"
#include "domain/action.hpp"
#include "domain/api_key.hpp"
#include "domain/catalogue.hpp"
#include "domain/money.hpp"
#include "domain/schedule.hpp"
#include "domain/server.hpp"
#include "net/api/json_writer.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// How the engine's records look in JSON.
namespace skyengine::net::api {

/// The old route's clients know `virtfusionId` as a text.
enum class record_form : std::uint8_t { present, old };

/// A sum and its currency.
void write_amount(json_writer& out, std::string_view name, money sum, const currency_code& currency);

/// Without the closing brace, for those that add a member.
void begin_server(json_writer& out, const server& one, record_form form = record_form::present);

void write(json_writer& out, const server& one);
void write(json_writer& out, const server_event& one);
void write(json_writer& out, const action& one);
void write(json_writer& out, const plan& one);
void write(json_writer& out, const region& one);
void write(json_writer& out, const user& one);
/// `text` is the key itself, shown once; empty: left out.
void write(json_writer& out, const api_key& one, const std::string& text = {});

void write(json_writer& out, const db::hold_record& one);
void write(json_writer& out, const db::drift_record& one);

/// `next`: the times at which it fires next.
void write(json_writer& out,
           const schedule& one,
           const std::vector<std::chrono::sys_seconds>& next,
           const std::optional<schedule_run>& last_run);
/// `owner`: the name of its schedule.
void write(json_writer& out, const schedule_run& one, std::string_view owner);

template <class T>
std::string to_json(const T& record) {
  json_writer out;
  write(out, record);
  return std::move(out).take();
}

} // namespace skyengine::net::api
