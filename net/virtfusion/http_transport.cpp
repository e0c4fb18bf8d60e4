#include "net/virtfusion/http_transport.hpp"

#include "net/virtfusion/failure.hpp"

#include <boost/url.hpp>

namespace skyengine::net::virtfusion {

namespace {

http::verb verb_of(operation op) {
  return boost::beast::http::string_to_verb(traits_of(op).method());
}

no_answer::kind kind_of(http::exchange_failure::kind what) noexcept {
  switch (what) {
  case http::exchange_failure::kind::not_sent:
    return no_answer::kind::not_sent;
  case http::exchange_failure::kind::lost:
    return no_answer::kind::lost;
  case http::exchange_failure::kind::timed_out:
    return no_answer::kind::timed_out;
  case http::exchange_failure::kind::unreadable:
    return no_answer::kind::unreadable;
  }
  return no_answer::kind::lost;
}

/// By the panel's own clock where it tells it: ours may differ.
std::optional<std::chrono::seconds> retry_after_of(const http::fields& headers) {
  const auto found = headers.find(http::field::retry_after);
  if (found == headers.end())
    return std::nullopt;
  const auto date = headers.find(http::field::date);
  const auto panel_now = date == headers.end() ? std::nullopt : parse_http_date(date->value());
  const auto own_now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return parse_retry_after(found->value(), panel_now.value_or(own_now));
}

/// A panel or proxy that answers with the request's headers must not bring our token into a log.
void redact(std::string& body, const std::string& token) {
  // A shorter one stands in every second word, and is no secret.
  constexpr std::size_t length_min = 4;
  if (token.size() < length_min)
    return;
  for (auto at = body.find(token); at != std::string::npos; at = body.find(token, at + 3))
    body.replace(at, token.size(), "***");
}

http::client_options client_options_of(const http_transport_options& options) {
  http::client_options client;
  client.origin = options.base.origin;
  client.verify_tls = options.verify_tls;
  client.ca_file = options.ca_file;
  client.max_connections = options.max_connections;
  return client;
}

} // namespace

result<> check_ca_file(const std::string& file) {
  if (file.empty())
    return {};
  const auto usable = http::check_ca_file(file);
  if (!usable)
    return error{errc::invalid_request, "virtfusion.ca_file: " + usable.error().detail};
  return {};
}

result<api_base> parse_api_base(std::string_view url) {
  const auto parsed = boost::urls::parse_uri(url);
  const auto is_http = parsed && (parsed->scheme_id() == boost::urls::scheme::http ||
                                  parsed->scheme_id() == boost::urls::scheme::https);
  if (!is_http || parsed->host().empty())
    return error{errc::invalid_request, "It must be a URL such as https://panel.example.com."};
  if (parsed->has_userinfo() || parsed->has_query() || parsed->has_fragment())
    return error{errc::invalid_request, "It must have no user, query or fragment."};
  api_base base;
  base.origin = std::string{boost::urls::to_string(parsed->scheme_id())} + "://" +
                std::string{parsed->encoded_host_and_port()};
  base.path = std::string{parsed->encoded_path()};
  if (base.path.empty())
    base.path = "/api/v1";
  while (base.path.ends_with('/'))
    base.path.pop_back();
  return base;
}

http_transport::http_transport(asio::any_io_executor loop, http_transport_options options)
    : path_(options.base.path), token_(options.token), client_(std::move(loop), client_options_of(options)) {}

asio::awaitable<exchange_outcome> http_transport::exchange(request what, std::chrono::milliseconds timeout) {
  http::client_request out;
  out.method = verb_of(what.op);
  out.target = path_ + what.target;
  out.headers.set(http::field::authorization, "Bearer " + token_.reveal());
  // Without it Laravel may answer with a redirect to an HTML page.
  out.headers.set(http::field::accept, "application/json");
  if (!what.body.empty())
    out.headers.set(http::field::content_type, "application/json");
  out.body = std::move(what.body);
  out.timeout = timeout;
  out.freshness = traits_of(what.op).freshness;
  auto response = co_await client_.exchange(std::move(out));
  if (response.has_error())
    co_return no_answer{kind_of(response.error().what), response.error().detail};
  answer given{response->status, std::move(response->body), retry_after_of(response->headers)};
  if (!given.is_success())
    redact(given.body, token_.reveal());
  co_return given;
}

} // namespace skyengine::net::virtfusion
