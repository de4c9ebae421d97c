#include "command/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

#include "base/config_spellings.h"
#include "base/console.h"
#include "base/error.h"
#include "base/nearest_name.h"

namespace rung::command {

namespace {

// The options of `parser`, as they are written: "--set".
std::vector<std::string> options_of(const cxxopts::Options& parser) {
  std::vector<std::string> options;
  for (const std::string& group : parser.groups()) {
    for (const cxxopts::HelpOptionDetails& option : parser.group_help(group).options) {
      for (const std::string& name : option.l) options.push_back("--" + name);
    }
  }
  return options;
}

// What may have been meant by the first long option that `parser` has not. Other trainers take
// every setting as an option; here it is a key of the configuration.
std::string unknown_option_hint(const cxxopts::Options& parser,
                                const std::vector<std::string>& arguments) {
  const std::vector<std::string> options = options_of(parser);
  const auto is_unknown = [&](const std::string& argument) {
    const std::string name = argument.substr(0, argument.find('='));
    return name.size() > 2 && name.starts_with("--") &&
           std::ranges::find(options, name) == options.end();
  };
  const auto unknown = std::ranges::find_if(arguments, is_unknown);
  if (unknown == arguments.end()) return "";
  const std::string name = unknown->substr(0, unknown->find('='));
  const std::string as_option =
      did_you_mean(name, std::vector<std::string_view>(options.begin(), options.end()));
  if (std::ranges::find(options, "--set") == options.end()) return as_option;
  std::string spelling = name.substr(2);
  std::ranges::replace(spelling, '-', '_');
  const std::optional<std::string> key = nearest_run_key(spelling);
  // Where both are near, the key is meant if it is spelt right.
  if (!key || (!as_option.empty() && canonical_run_key(spelling) != *key)) return as_option;
  return fmt::format("keys of the configuration are set with --set {}=VALUE", *key);
}

}  // namespace

std::optional<cxxopts::ParseResult> parse_arguments(cxxopts::Options& parser, int argc,
                                                    char** argv) {
  const std::string hint = fmt::format("see `{} --help`", parser.program());
  parser.add_options()("h,help", "this text");
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    cxxopts::ParseResult parsed = parser.parse(argc, argv);
    if (parsed.count("help") > 0) {
      print(parser.help());
      return std::nullopt;
    }
    if (!parsed.unmatched().empty()) {
      throw Error(
          ExitCode::kUsage,
          {.what = "an argument too many", .got = parsed.unmatched().front(), .hint = hint});
    }
    return parsed;
  } catch (const cxxopts::exceptions::no_such_option& error) {
    const std::string meant = unknown_option_hint(parser, arguments);
    throw Error(ExitCode::kUsage,
                {.what = error.what(), .hint = meant.empty() ? hint : meant + "; " + hint});
  } catch (const cxxopts::exceptions::exception& error) {
    throw Error(ExitCode::kUsage, {.what = error.what(), .hint = hint});
  }
}

namespace {

// The value of `name`, which a message calls `shown`.
std::string value_of(const cxxopts::ParseResult& parsed, const std::string& name,
                     const std::string& shown, std::string_view verb) {
  if (parsed.count(name) == 0) {
    throw Error(ExitCode::kUsage,
                {.what = shown + " is missing", .hint = fmt::format("see `rung {} --help`", verb)});
  }
  return parsed[name].as<std::string>();
}

}  // namespace

std::string required(const cxxopts::ParseResult& parsed, const std::string& name,
                     std::string_view verb) {
  return value_of(parsed, name, name, verb);
}

std::string required_option(const cxxopts::ParseResult& parsed, const std::string& name,
                            std::string_view verb) {
  return value_of(parsed, name, "--" + name, verb);
}

std::vector<std::string> repeated(const cxxopts::ParseResult& parsed, std::string_view name) {
  std::vector<std::string> values;
  for (const cxxopts::KeyValue& argument : parsed.arguments()) {
    if (argument.key() == name) values.push_back(argument.value());
  }
  return values;
}

std::string choice(const cxxopts::ParseResult& parsed, const std::string& name,
                   const std::vector<std::string>& allowed) {
  const std::string value = parsed[name].as<std::string>();
  if (std::ranges::find(allowed, value) != allowed.end()) return value;
  throw Error(ExitCode::kUsage, {.what = fmt::format("--{} is not one of its values", name),
                                 .got = value,
                                 .expected = fmt::format("{}", fmt::join(allowed, " or "))});
}

void add_base_option(cxxopts::Options& parser) {
  parser.add_options()("base",
                       "full: the weights as stored; nf4, nf4-double: quantised (and again their "
                       "scales) and read back, as QLoRA trained on them",
                       cxxopts::value<std::string>()->default_value("full"), "full|nf4|nf4-double");
}

model::BaseFormat base_format(const cxxopts::ParseResult& parsed) {
  const std::string base = choice(parsed, "base", {"full", "nf4", "nf4-double"});
  if (base == "full") return model::BaseFormat::kDense;
  return base == "nf4" ? model::BaseFormat::kNf4 : model::BaseFormat::kNf4DoubleQuant;
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ExitCode::kDamaged, {.what = "cannot write to standard output"});
  }
}

void print_notes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) fmt::print(stderr, "note: {}\n", one_line(note));
}

}  // namespace rung::command
