#include "net/api/documents.hpp"

#include "domain/base64.hpp"
#include "net/api/edge_state.hpp"
#include "net/api/problem.hpp"
#include "net/api/routes.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

namespace skyengine::net::api {

namespace {

constexpr std::string_view style =
  "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
  "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.3rem .6rem;"
  "text-align:left;vertical-align:top}code{white-space:nowrap}";

std::string escaped(std::string_view text) {
  std::string html;
  for (const auto c : text)
    switch (c) {
    case '&':
      html += "&amp;";
      break;
    case '<':
      html += "&lt;";
      break;
    case '>':
      html += "&gt;";
      break;
    case '"':
      html += "&quot;";
      break;
    default:
      html += c;
    }
  return html;
}

std::string make_page() {
  std::string page{
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>skyengine API</title><style>"};
  page.append(style).append("</style></head><body><h1>skyengine API</h1><p>The contract: "
                            "<a href=\"/openapi.yaml\">openapi.yaml</a>.</p>"
                            "<h2>Operations</h2><table><tr><th>Operation<th>What it does</tr>");
  for (const auto& one : operations_of(openapi_yaml()))
    page.append("<tr><td><code>")
      .append(one.method)
      .append(" ")
      .append(escaped(one.path))
      .append("</code><td>")
      .append(escaped(one.summary))
      .append("</tr>");
  page.append("</table><h2>Problem codes</h2><table><tr><th>Code<th>Status<th>Title</tr>");
  for (const auto& kind : problem_kinds()) {
    const auto code = to_string(kind.code);
    // Two kinds share a code; an id stands once on a page.
    const auto id =
      kind.code == errc::malformed_request ? std::string{} : " id=\"" + std::string{code} + "\"";
    page.append("<tr" + id + "><td><code>")
      .append(code)
      .append("</code><td>")
      .append(std::to_string(static_cast<unsigned>(kind.status)))
      .append("<td>")
      .append(kind.title)
      .append("</tr>");
  }
  return page.append("</table></body></html>\n");
}

/// Nothing may run or be fetched; the one style is known by its hash.
std::string make_policy() {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(style.data()), style.size(), digest.data());
  const std::string_view bytes{reinterpret_cast<const char*>(digest.data()), digest.size()};
  return "default-src 'none'; style-src 'sha256-" + base64_encode(bytes) +
         "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

/// What stands behind `indent` spaces, when the line has exactly that many.
std::string_view indented(std::string_view line, std::size_t indent) noexcept {
  const auto first = line.find_first_not_of(' ');
  return first == indent ? line.substr(indent) : std::string_view{};
}

std::string_view take_line(std::string_view& rest) noexcept {
  const auto end = rest.find('\n');
  const auto line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return line;
}

} // namespace

std::vector<documented_operation> operations_of(std::string_view yaml) {
  static constexpr std::array<std::string_view, 5> methods{"get:", "post:", "put:", "delete:", "patch:"};
  std::vector<documented_operation> found;
  std::string path;
  for (auto rest = yaml; !rest.empty();) {
    const auto line = take_line(rest);
    if (const auto text = indented(line, 2); text.starts_with('/') && text.ends_with(':'))
      path = text.substr(0, text.size() - 1);
    const auto method = indented(line, 4);
    if (std::find(methods.begin(), methods.end(), method) != methods.end()) {
      std::string name{method.substr(0, method.size() - 1)};
      std::transform(name.begin(), name.end(), name.begin(),
                     [](char c) { return static_cast<char>(c - 'a' + 'A'); });
      found.push_back({std::move(name), path, {}});
    }
    constexpr std::string_view summary = "summary: ";
    if (const auto text = indented(line, 6); text.starts_with(summary) && !found.empty())
      found.back().summary = text.substr(summary.size());
  }
  return found;
}

answer get_openapi(edge_state&, const call&) {
  http::response answer;
  answer.headers.set(http::field::content_type, "application/yaml");
  answer.body = openapi_yaml();
  co_return answer;
}

answer get_docs(edge_state&, const call&) {
  static const auto page = make_page();
  static const auto policy = make_policy();
  http::response answer;
  answer.headers.set(http::field::content_type, "text/html; charset=utf-8");
  answer.headers.set("Content-Security-Policy", policy);
  answer.headers.set("X-Content-Type-Options", "nosniff");
  answer.headers.set("Referrer-Policy", "no-referrer");
  answer.body = page;
  co_return answer;
}

} // namespace skyengine::net::api
