#include "model/lora_targets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "text/regex.h"

namespace rung::model {
namespace {

bool ends_in(const std::string& module, const std::string& name) {
  return module == name || (module.size() > name.size() && module.ends_with(name) &&
                            module[module.size() - name.size() - 1] == '.');
}

// "q_proj, k_proj, ...": what a message offers.
std::string short_names(const std::vector<std::string>& linears) {
  std::vector<std::string> names;
  for (const std::string& linear : linears) {
    const std::string name = linear.substr(linear.rfind('.') + 1);
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::vector<std::string> match_list(const std::vector<std::string>& names,
                                    const std::vector<std::string>& linears) {
  for (const std::string& name : names) {
    if (std::ranges::any_of(linears, [&](const auto& linear) { return ends_in(linear, name); })) {
      continue;
    }
    const bool head = name == "lm_head" || name == "embed_tokens";
    throw Error(
        ExitCode::kConfig,
        {.what = head
                     ? "lora_target_modules: an adapter on the embedding or the output head is not "
                       "supported yet"
                     : "lora_target_modules names no linear of the model",
         .got = name,
         .expected = short_names(linears) + " or a longer path ending in one"});
  }
  std::vector<std::string> matched;
  for (const std::string& linear : linears) {
    if (std::ranges::any_of(names, [&](const auto& name) { return ends_in(linear, name); })) {
      matched.push_back(linear);
    }
  }
  return matched;
}

text::Regex full_match(const std::string& pattern) {
  try {
    return text::Regex("\\A(?:" + pattern + ")\\z", "lora_target_modules");
  } catch (const Error& error) {
    throw Error(ExitCode::kConfig, error.parts());  // a key of the user's, not a damaged file
  }
}

std::vector<std::string> match_regex(const std::string& pattern,
                                     const std::vector<std::string>& linears) {
  const text::Regex regex = full_match(pattern);
  std::vector<std::string> matched;
  for (const std::string& linear : linears) {
    if (!regex.find_all(linear).empty()) matched.push_back(linear);
  }
  if (matched.empty()) {
    throw Error(ExitCode::kConfig,
                {.what = "lora_target_modules matches no linear of the model",
                 .got = pattern,
                 .expected = "an expression for whole paths such as " + linears.front(),
                 .hint = "start it with \".*\""});
  }
  return matched;
}

}  // namespace

std::vector<std::string> match_targets(const TargetModules& targets,
                                       const std::vector<std::string>& linears) {
  switch (targets.mode) {
    case TargetModules::Mode::kAllLinear:
      return linears;
    case TargetModules::Mode::kList:
      return match_list(targets.names, linears);
    case TargetModules::Mode::kRegex:
      return match_regex(targets.regex, linears);
  }
  return {};
}

}  // namespace rung::model
