#include "commands/command_line_faults.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>

namespace skyengine::commands {

namespace {

/// As it is called: `skyengine apikey create`.
std::string full_name(const CLI::App& app) {
  return (app.get_parent() != nullptr ? full_name(*app.get_parent()) + ' ' : "") + app.get_name();
}

/// The subcommand that was found last.
const CLI::App& innermost(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : innermost(*chosen.front());
}

/// The first of `app` and its subcommands that was given something it does not know, or null.
const CLI::App* first_astray(const CLI::App& app) {
  if (app.remaining_size() > 0)
    return &app;
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? nullptr : first_astray(*chosen.front());
}

void add_to(std::string& list, const std::string& word) {
  list += (list.empty() ? "" : ", ") + word;
}

std::string subcommands_of(const CLI::App& app) {
  std::string list;
  for (const auto* sub : app.get_subcommands({}))
    if (!sub->get_name().empty())
      add_to(list, sub->get_name());
  return list;
}

std::string options_of(const CLI::App& app) {
  std::string list;
  // A group of options is a subcommand without a name, whose own --help nobody can give.
  const auto* unused = app.get_name().empty() ? app.get_help_ptr() : nullptr;
  for (const auto* option : app.get_options())
    if (option != unused && !option->get_lnames().empty())
      add_to(list, "--" + option->get_lnames().front());
  for (const auto* group : app.get_subcommands({}))
    if (group->get_name().empty())
      add_to(list, options_of(*group));
  return list;
}

/// What is wrong with the first word that `app` does not know.
std::string describe_unknown(const CLI::App& app) {
  const auto words = app.remaining();
  const auto first = std::find_if(words.begin(), words.end(), [](const auto& word) { return word != "--"; });
  const auto quoted = '"' + *first + '"';
  if (first->starts_with('-'))
    return "there is no option " + quoted + " (known: " + options_of(app) + ")";
  if (const auto known = subcommands_of(app); !known.empty() && app.get_subcommands().empty())
    return "there is no subcommand " + quoted + " (known: " + known + ")";
  return "nothing was expected where " + quoted + " stands";
}

} // namespace

int refuse_command_line(const CLI::App& app, const std::string& why) {
  const auto name = full_name(app);
  std::fprintf(stderr, "%s: %s\n`%s --help` tells more.\n", name.c_str(), why.c_str(), name.c_str());
  return bad_command_line;
}

int refuse_command_line(const CLI::App& root, const CLI::ParseError& why) {
  if (const auto* app = first_astray(root))
    return refuse_command_line(*app, describe_unknown(*app));
  const auto& app = innermost(root);
  if (const auto known = subcommands_of(app); !known.empty())
    return refuse_command_line(app, "a subcommand is missing: one of " + known);
  return refuse_command_line(app, why.what());
}

} // namespace skyengine::commands
