// What every verb's command line shares.
#pragma once

#include <cxxopts.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/weight_reader.h"

namespace rung::command {

// Parses a verb's arguments. Nothing where --help was asked for (the help text is printed then).
// Throws Error kUsage naming the fault. Every parser gets -h/--help from here.
std::optional<cxxopts::ParseResult> parse_arguments(cxxopts::Options& parser, int argc,
                                                    char** argv);

// The one value of a required positional argument; throws Error kUsage where it is absent.
std::string required(const cxxopts::ParseResult& parsed, const std::string& name,
                     std::string_view verb);

// Likewise of an option, --name.
std::string required_option(const cxxopts::ParseResult& parsed, const std::string& name,
                            std::string_view verb);

// The values of a repeatable option as they were written (cxxopts splits vectors at commas).
std::vector<std::string> repeated(const cxxopts::ParseResult& parsed, std::string_view name);

// The value of option `name`; throws Error kUsage where it is none of `allowed`.
std::string choice(const cxxopts::ParseResult& parsed, const std::string& name,
                   const std::vector<std::string>& allowed);

// --base full | nf4 | nf4-double: how generate and merge take the base's linears.
void add_base_option(cxxopts::Options& parser);
model::BaseFormat base_format(const cxxopts::ParseResult& parsed);

// Writes to standard output; throws Error kDamaged where that fails (a closed pipe, a full disk).
void print(std::string_view text);

// The notes of a configuration, on standard error.
void print_notes(const std::vector<std::string>& notes);

}  // namespace rung::command
