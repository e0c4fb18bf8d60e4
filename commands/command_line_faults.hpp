#pragma once

#include <string>

namespace CLI { // NOLINT(readability-identifier-naming): CLI11's name
class App;
class ParseError;
} // namespace CLI

namespace skyengine::commands {

constexpr int bad_command_line = 2;

/// Tells on stderr what is wrong with the command line of `app`, and where help is; bad_command_line.
int refuse_command_line(const CLI::App& app, const std::string& why);
/// The same for what CLI11 found, in our words: what was not known is named, with what there is.
int refuse_command_line(const CLI::App& root, const CLI::ParseError& why);

} // namespace skyengine::commands
