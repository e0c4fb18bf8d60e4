#include "config/loader.hpp"

#include "config/connection_secrets.hpp"
#include "config/secret_reference.hpp"
#include "config/setting_sources.hpp"
#include "config/setting_table.hpp"
#include "config/small_file.hpp"
#include "domain/utf8.hpp"

#include <boost/url/parse.hpp>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

namespace skyengine::config {

namespace {

constexpr std::string_view own_prefix = "SKYENGINE_";
constexpr std::size_t quoted_bytes_max = 80;

/// Whether a variable that is no setting may be there all the same.
bool is_tolerated(std::string_view variable) {
#ifdef SKYENGINE_CRASH_POINTS
  if (variable == "SKYENGINE_CRASH_AT")
    return true;
#endif
  return !variable.starts_with(own_prefix) || variable.starts_with("SKYENGINE_TEST_") ||
         variable == "SKYENGINE_CONFIG";
}

/// In quotes, safe for a terminal, and not endless.
std::string quote(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    if (quoted.size() > quoted_bytes_max) {
      quoted += "…";
      break;
    }
    const auto length = utf8_sequence(text);
    const auto shows = length > 0 && !is_control(text.substr(0, length));
    quoted += shows ? text.substr(0, length) : "?";
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return quoted + '"';
}

/// In TOML's form, given that a setting has no control characters.
std::string toml_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string toml_value(const setting& row, std::string_view text, const value& parsed) {
  switch (row.type.kind) {
  case value_kind::boolean:
    return std::get<bool>(parsed) ? "true" : "false";
  case value_kind::integer:
    return std::to_string(std::get<std::int64_t>(parsed));
  case value_kind::addresses: {
    std::string list = "[";
    for (const auto& address : std::get<std::vector<std::string>>(parsed))
      list += (list.size() == 1 ? "" : ", ") + toml_string(address);
    return list + ']';
  }
  case value_kind::url:
    return toml_string(std::get<std::string>(parsed));
  case value_kind::text:
  case value_kind::database:
  case value_kind::token:
  case value_kind::size:
  case value_kind::duration:
  case value_kind::address:
  case value_kind::choice:
    break;
  }
  if (row.is_secret && !text.empty())
    return "\"***\"";
  return toml_string(text);
}

class loading {
public:
  explicit loading(const load_input& input) : input_(input) {}

  result<loaded_settings> run() {
    read_dotenv_file();
    read_config_file();
    take_variables(dotenv_);
    std::map<std::string, written_value> environment;
    for (const auto& [name, text] : input_.environment)
      environment[name] = {text, "the environment"};
    take_variables(environment);
    for (const auto& row : setting_table())
      settle(row);
    check_together();
    if (mistakes_.empty())
      return std::move(loaded_);
    return all_mistakes();
  }

private:
  void read_dotenv_file() {
    const auto text = read_small_file(input_.working_directory + "/.env");
    if (text) {
      auto found = read_dotenv(*text, ".env");
      dotenv_ = std::move(found.values);
      add(std::move(found.mistakes));
    } else if (text.error().code != errc::not_found) {
      mistakes_.push_back({".env", text.error().detail});
    }
  }

  void read_config_file() {
    const auto name = input_.config_file ? input_.config_file : variable("SKYENGINE_CONFIG");
    if (!name || name->empty())
      return;
    const auto path = name->starts_with('/') ? *name : input_.working_directory + '/' + *name;
    const auto text = read_small_file(path);
    if (!text) {
      mistakes_.push_back({*name, text.error().detail});
      return;
    }
    auto found = read_toml(*text, *name);
    add(std::move(found.mistakes));
    for (auto& [key, written] : found.values)
      written_[find_setting(key)] = std::move(written);
  }

  /// What these variables say wins over what was taken before.
  void take_variables(const std::map<std::string, written_value>& variables) {
    std::map<const setting*, std::string> taken;
    for (const auto& [name, written] : variables) {
      const auto* const row = find_setting_in_environment(name);
      if (row == nullptr) {
        if (!is_tolerated(name))
          mistakes_.push_back({name, "there is no such setting (" + written.origin + ")"});
        continue;
      }
      if (written.text.empty())
        continue;
      const auto [first, is_new] = taken.try_emplace(row, name);
      if (is_new)
        written_[row] = {written.text, name + " in " + written.origin};
      else if (written_[row].text != written.text)
        mistakes_.push_back({std::string{row->name}, first->second + " and " + name + " in " +
                                                       written.origin + " mean the same setting and differ"});
    }
  }

  /// In the environment, else in `.env`.
  std::optional<std::string> variable(const std::string& name) const {
    if (const auto found = input_.environment.find(name); found != input_.environment.end())
      return found->second;
    if (const auto found = dotenv_.find(name); found != dotenv_.end())
      return found->second.text;
    return std::nullopt;
  }

  /// Reads the value of one setting and puts it in its place.
  void settle(const setting& row) {
    const auto written = written_.find(&row);
    const auto is_default = written == written_.end();
    const auto origin = is_default ? std::string{"default"} : written->second.origin;
    auto text = is_default ? std::string{row.initial} : written->second.text;
    if (row.is_secret) {
      auto secret = resolve_secret(text, [this](const std::string& name) { return variable(name); });
      if (!secret) {
        mistakes_.push_back({std::string{row.name}, secret.error().detail + " (" + origin + ")"});
        return;
      }
      text = std::move(secret->value);
      if (!secret->warning.empty())
        loaded_.warnings.push_back(std::string{row.name} + ": " + secret->warning);
    }
    const auto parsed = parse_value(row.type, text);
    if (!parsed) {
      // A URL with a user in it, which is refused, has a password there.
      const auto shows = !row.is_secret && text.find('@') == std::string::npos;
      mistakes_.push_back({std::string{row.name}, (shows ? quote(text) : "its value") + " (" + origin +
                                                    ") is not allowed: " + parsed.error().detail});
      return;
    }
    row.assign(loaded_.values, *parsed);
    loaded_.shown.push_back({std::string{row.name}, toml_value(row, text, *parsed), origin});
    if (row.is_secret && !text.empty())
      for (auto& part : connection_secrets(text))
        loaded_.secrets.push_back(std::move(part));
  }

  void check_together() {
    auto& values = loaded_.values;
    if (values.http.tls_cert.empty() != values.http.tls_key.empty())
      mistakes_.push_back({values.http.tls_cert.empty() ? "http.tls_cert" : "http.tls_key",
                           "a certificate and its key are set together or not at all"});
    if (!is_known_wrong("virtfusion.api_url") && !is_known_wrong("virtfusion.api_token") &&
        values.virtfusion.api_url.empty() != values.virtfusion.api_token.empty())
      mistakes_.push_back({values.virtfusion.api_url.empty() ? "virtfusion.api_url" : "virtfusion.api_token",
                           "VIRTFUSION_API_URL and VIRTFUSION_API_TOKEN are set together or not at all"});
    warn_of_virtfusion(values.virtfusion);
  }

  void warn_of_virtfusion(const virtfusion_settings& virtfusion) {
    const auto url = boost::urls::parse_uri(virtfusion.api_url);
    if (!url)
      return;
    const std::string host = url->host();
    const auto is_loopback = host == "localhost" || host == "[::1]" ||
                             (url->host_type() == boost::urls::host_type::ipv4 && host.starts_with("127."));
    if (url->scheme() == "http" && !is_loopback)
      loaded_.warnings.push_back(
        "virtfusion.api_url is not https: the token and root passwords of servers travel "
        "to " +
        host + " for everybody to read");
    if (url->scheme() == "https" && !virtfusion.ssl_verify)
      loaded_.warnings.push_back("virtfusion.ssl_verify is false: anybody on the way to " + host +
                                 " can pose as VirtFusion and read the token");
  }

  bool is_known_wrong(std::string_view key) const {
    return std::any_of(mistakes_.begin(), mistakes_.end(), [key](const mistake& m) { return m.key == key; });
  }

  void add(std::vector<mistake> more) {
    mistakes_.insert(mistakes_.end(), std::make_move_iterator(more.begin()),
                     std::make_move_iterator(more.end()));
  }

  error all_mistakes() const {
    error all{errc::invalid_request,
              mistakes_.size() == 1 ? "the settings have a mistake:"
                                    : "the settings have " + std::to_string(mistakes_.size()) + " mistakes:"};
    for (const auto& [key, reason] : mistakes_) {
      all.detail.append("\n  ").append(key).append(": ").append(reason);
      all.fields.push_back({key, reason});
    }
    return all;
  }

  const load_input& input_;
  std::map<std::string, written_value> dotenv_;
  std::map<const setting*, written_value> written_;
  std::vector<mistake> mistakes_;
  loaded_settings loaded_;
};

} // namespace

result<loaded_settings> load(const load_input& input) {
  return loading{input}.run();
}

load_input process_input(std::optional<std::string> config_file) {
  load_input input;
  input.config_file = std::move(config_file);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text{*variable};
    const auto equals = text.find('=');
    if (equals != std::string_view::npos)
      input.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return input;
}

} // namespace skyengine::config
