#include "base/config_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/units.h"

namespace rung {
namespace {

constexpr EnumName<AdapterKind> kAdapterKinds[] = {{AdapterKind::kLora, "lora"},
                                                   {AdapterKind::kQlora, "qlora"}};
constexpr EnumName<ComputeDtype> kComputeDtypes[] = {{ComputeDtype::kAuto, "auto"},
                                                     {ComputeDtype::kBf16, "bf16"},
                                                     {ComputeDtype::kFp16, "fp16"},
                                                     {ComputeDtype::kFp32, "fp32"}};
constexpr EnumName<ExcessLength> kExcessLengths[] = {{ExcessLength::kDrop, "drop"},
                                                     {ExcessLength::kTruncate, "truncate"},
                                                     {ExcessLength::kRaise, "raise"}};
constexpr EnumName<LrScheduler> kLrSchedulers[] = {{LrScheduler::kCosine, "cosine"},
                                                   {LrScheduler::kLinear, "linear"},
                                                   {LrScheduler::kConstant, "constant"}};
constexpr EnumName<DatasetType> kDatasetTypes[] = {{DatasetType::kChatTemplate, "chat_template"},
                                                   {DatasetType::kAlpaca, "alpaca"},
                                                   {DatasetType::kCompletion, "completion"},
                                                   {DatasetType::kInputOutput, "input_output"},
                                                   {DatasetType::kTokenized, "tokenized"}};
constexpr EnumName<TrainOnEos> kTrainOnEos[] = {{TrainOnEos::kTurn, "turn"},
                                                {TrainOnEos::kAll, "all"},
                                                {TrainOnEos::kLast, "last"},
                                                {TrainOnEos::kNone, "none"}};
constexpr EnumName<InitLora> kInitLora[] = {{InitLora::kKaiming, "true"},
                                            {InitLora::kGaussian, "gaussian"}};

// Whether `text` may stand in YAML without quotes and reads back as text in every parser.
bool is_plain_word(const std::string& text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_inner = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '/';
  };
  const bool starts_plain =
      !text.empty() && (is_letter(text[0]) || text[0] == '/' || text[0] == '_' || text[0] == '.');
  if (!starts_plain || text[0] == '.' || !std::all_of(text.begin(), text.end(), is_inner)) {
    return false;
  }
  const std::string lower = lower_case(text);
  return lower != "true" && lower != "false" && lower != "yes" && lower != "no" && lower != "on" &&
         lower != "off" && lower != "null" && lower != "y" && lower != "n";
}

// A module name or a part of one: nothing in it that would make it a regular expression.
bool is_module_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// The names of "a, b,c"; empty where one of them is no module name.
std::vector<std::string> split_module_names(std::string_view text) {
  std::vector<std::string> names;
  while (true) {
    const size_t comma = text.find(',');
    std::string_view name = text.substr(0, comma);
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    if (!is_module_name(name)) return {};
    names.emplace_back(name);
    if (comma == std::string_view::npos) return names;
    text.remove_prefix(comma + 1);
  }
}

bool is_device(std::string_view text) {
  if (text == "auto" || text == "cpu" || text == "cuda") return true;
  if (!text.starts_with("cuda:") || text.size() == 5 || text.size() > 8) return false;
  return std::all_of(text.begin() + 5, text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string describe_range(const Range& range) {
  const bool has_min = std::isfinite(range.min);
  const bool has_max = std::isfinite(range.max) && range.max < 1e15;  // larger is a guard only
  if (!has_min && !has_max) return "";
  if (!has_max) return fmt::format(", {} {}", range.min_is_open ? ">" : ">=", range.min);
  if (range.min_is_open || range.max_is_open) {
    return fmt::format(", {} {} and {} {}", range.min_is_open ? ">" : ">=", range.min,
                       range.max_is_open ? "<" : "<=", range.max);
  }
  return fmt::format(", {}..{}", range.min, range.max);
}

}  // namespace

std::span<const EnumName<AdapterKind>> enum_names(AdapterKind) { return kAdapterKinds; }
std::span<const EnumName<ComputeDtype>> enum_names(ComputeDtype) { return kComputeDtypes; }
std::span<const EnumName<ExcessLength>> enum_names(ExcessLength) { return kExcessLengths; }
std::span<const EnumName<LrScheduler>> enum_names(LrScheduler) { return kLrSchedulers; }
std::span<const EnumName<DatasetType>> enum_names(DatasetType) { return kDatasetTypes; }
std::span<const EnumName<TrainOnEos>> enum_names(TrainOnEos) { return kTrainOnEos; }
std::span<const EnumName<InitLora>> enum_names(InitLora) { return kInitLora; }

bool read_value(const ConfigNode& node, const FieldInfo& info, std::string& value) {
  if (!node.is_scalar()) return false;
  if (!info.choices.empty() &&
      std::find(info.choices.begin(), info.choices.end(), node.text) == info.choices.end()) {
    return false;
  }
  if (info.name == "device" && !is_device(node.text)) return false;
  value = node.text;
  return true;
}

bool read_value(const ConfigNode& node, const FieldInfo&, std::filesystem::path& value) {
  if (!node.is_scalar() || node.text.empty()) return false;
  value = node.text;
  return true;
}

bool read_value(const ConfigNode& node, const FieldInfo&, bool& value) {
  return read_scalar(node, value);
}

bool read_value(const ConfigNode& node, const FieldInfo& info, int64_t& value) {
  int64_t number = 0;
  if (info.unit == Unit::kBytes && node.is_scalar()) {
    const std::optional<int64_t> bytes = parse_bytes(node.text);
    if (!bytes) return false;
    number = *bytes;
  } else if (!read_scalar(node, number)) {
    return false;
  }
  if (!info.range.contains(static_cast<double>(number))) return false;
  value = number;
  return true;
}

bool read_value(const ConfigNode& node, const FieldInfo&, uint64_t& value) {
  return read_scalar(node, value);
}

bool read_value(const ConfigNode& node, const FieldInfo& info, double& value) {
  double number = 0;
  if (!read_scalar(node, number) || !info.range.contains(number)) return false;
  value = number;
  return true;
}

bool read_value(const ConfigNode& node, const FieldInfo&, std::vector<std::string>& value) {
  if (node.kind != ConfigNode::Kind::kList) return false;
  std::vector<std::string> items;
  for (const ConfigNode& item : node.items) {
    if (!item.is_scalar()) return false;
    items.push_back(item.text);
  }
  value = std::move(items);
  return true;
}

bool read_value(const ConfigNode& node, const FieldInfo&, Recompute& value) {
  bool all = false;
  int64_t num_blocks = 0;
  if (node.is_scalar() && lower_case(node.text) == "auto") {
    value = {.mode = Recompute::Mode::kAuto};
  } else if (read_scalar(node, all)) {
    value = {.mode = all ? Recompute::Mode::kAll : Recompute::Mode::kNone};
  } else if (read_scalar(node, num_blocks) && num_blocks >= 0) {
    value = {.mode = num_blocks == 0 ? Recompute::Mode::kNone : Recompute::Mode::kBlocks,
             .num_blocks = num_blocks};
  } else {
    return false;
  }
  return true;
}

bool read_value(const ConfigNode& node, const FieldInfo& info, TargetModules& value) {
  TargetModules read;
  if (node.kind == ConfigNode::Kind::kList) {
    read.mode = TargetModules::Mode::kList;
    if (!read_value(node, info, read.names) || read.names.empty()) return false;
    if (std::any_of(read.names.begin(), read.names.end(),
                    [](const std::string& name) { return name.empty(); })) {
      return false;
    }
    // LLaMA-Factory's and PEFT's word for all of them may stand alone in a list.
    if (read.names.size() == 1 && (read.names[0] == "all-linear" || read.names[0] == "all")) {
      read = {};
    }
  } else if (!node.is_scalar() || node.text.empty()) {
    return false;
  } else if (node.text != "all-linear") {
    // "q_proj,v_proj" (LLaMA-Factory) and "q_proj": as a regular expression for the full name,
    // plain names would match nothing.
    read.names = split_module_names(node.text);
    read.mode = read.names.empty() ? TargetModules::Mode::kRegex : TargetModules::Mode::kList;
    if (read.names.empty()) read.regex = node.text;
  }
  value = std::move(read);
  return true;
}

std::string write_value(const std::string& value) {
  if (is_plain_word(value)) return value;
  // A JSON string is a YAML double-quoted scalar.
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string write_value(const std::filesystem::path& value) { return write_value(value.string()); }

std::string write_value(bool value) { return value ? "true" : "false"; }

std::string write_value(int64_t value) { return fmt::format("{}", value); }

std::string write_value(uint64_t value) { return fmt::format("{}", value); }

std::string write_value(double value) {
  std::string text = fmt::format("{}", value);  // the shortest that reads back the same
  const size_t exponent = text.find('e');
  // YAML 1.1 (PyYAML) takes "1e-08" for a word.
  if (exponent != std::string::npos && text.find('.') == std::string::npos) {
    text.insert(exponent, ".0");
  }
  return text;
}

std::string write_value(const std::vector<std::string>& value) {
  std::string text = "[";
  for (const std::string& item : value) {
    if (text.size() > 1) text += ", ";
    text += write_value(item);
  }
  return text + "]";
}

std::string write_value(const Recompute& value) {
  switch (value.mode) {
    case Recompute::Mode::kAuto:
      return "auto";
    case Recompute::Mode::kAll:
      return "true";
    case Recompute::Mode::kNone:
      return "false";
    case Recompute::Mode::kBlocks:
      return write_value(value.num_blocks);
  }
  return {};
}

std::string write_value(const TargetModules& value) {
  switch (value.mode) {
    case TargetModules::Mode::kAllLinear:
      return "all-linear";
    case TargetModules::Mode::kList:
      return write_value(value.names);
    case TargetModules::Mode::kRegex:
      return write_value(value.regex);
  }
  return {};
}

std::string write_value(const std::vector<DatasetConfig>& value) {
  if (value.empty()) return "[]";
  std::string text;
  for (const DatasetConfig& dataset : value) {
    std::string_view lead = "\n  - ";
    visit_fields(dataset_fields(), [&](const FieldInfo& info, auto member) {
      text += fmt::format("{}{}: {}", lead, info.name, write_value(dataset.*member));
      lead = "\n    ";
    });
  }
  return text;
}

std::string join(std::span<const std::string_view> words, std::string_view separator) {
  return fmt::format("{}", fmt::join(words.begin(), words.end(), separator));
}

std::string describe_type(const FieldInfo& info, const std::string&) {
  if (info.name == "device") return "auto | cpu | cuda | cuda:N";
  if (info.choices.empty()) return "text";
  std::vector<std::string_view> shown = info.choices;
  std::replace(shown.begin(), shown.end(), std::string_view(), std::string_view("\"\""));
  return join(shown, " | ");
}

std::string describe_type(const FieldInfo&, const std::filesystem::path&) { return "path"; }

std::string describe_type(const FieldInfo&, bool) { return "true | false"; }

std::string describe_type(const FieldInfo& info, int64_t) {
  if (info.unit == Unit::kBytes) return "bytes, or a number with KiB, MiB, GiB, MB, GB";
  return "integer" + describe_range(info.range);
}

std::string describe_type(const FieldInfo&, uint64_t) { return "integer, >= 0"; }

std::string describe_type(const FieldInfo& info, double) {
  return "number" + describe_range(info.range);
}

std::string describe_type(const FieldInfo&, const std::vector<std::string>&) {
  return "list of words";
}

std::string describe_type(const FieldInfo&, const Recompute&) {
  return "auto | true | false | number of blocks";
}

std::string describe_type(const FieldInfo&, const TargetModules&) {
  return "list of names | regular expression | all-linear";
}

std::string describe_type(const FieldInfo&, const std::vector<DatasetConfig>&) {
  return "list of {path, type, ...}";
}

}  // namespace rung
