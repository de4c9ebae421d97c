// How a value of each type is read from a ConfigNode, written as YAML, and described.
//
// read_value() changes `value` and returns true, or returns false where the node is none of what
// describe_type() promises. write_value() gives YAML that read_value() reads back.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/config_node.h"
#include "base/config_visitor.h"

namespace rung {

template <class Enum>
struct EnumName {
  Enum value;
  std::string_view name;
};

std::span<const EnumName<AdapterKind>> enum_names(AdapterKind);
std::span<const EnumName<ComputeDtype>> enum_names(ComputeDtype);
std::span<const EnumName<ExcessLength>> enum_names(ExcessLength);
std::span<const EnumName<LrScheduler>> enum_names(LrScheduler);
std::span<const EnumName<DatasetType>> enum_names(DatasetType);
std::span<const EnumName<TrainOnEos>> enum_names(TrainOnEos);
std::span<const EnumName<InitLora>> enum_names(InitLora);

template <class Type>
concept IsEnum = std::is_enum_v<Type>;

template <IsEnum Enum>
bool read_value(const ConfigNode& node, const FieldInfo&, Enum& value) {
  if (!node.is_scalar()) return false;
  for (const EnumName<Enum>& entry : enum_names(value)) {
    if (lower_case(node.text) != entry.name) continue;
    value = entry.value;
    return true;
  }
  return false;
}

bool read_value(const ConfigNode& node, const FieldInfo& info, std::string& value);
bool read_value(const ConfigNode& node, const FieldInfo& info, std::filesystem::path& value);
bool read_value(const ConfigNode& node, const FieldInfo& info, bool& value);
bool read_value(const ConfigNode& node, const FieldInfo& info, int64_t& value);
bool read_value(const ConfigNode& node, const FieldInfo& info, uint64_t& value);
bool read_value(const ConfigNode& node, const FieldInfo& info, double& value);
bool read_value(const ConfigNode& node, const FieldInfo& info, std::vector<std::string>& value);
bool read_value(const ConfigNode& node, const FieldInfo& info, Recompute& value);
bool read_value(const ConfigNode& node, const FieldInfo& info, TargetModules& value);

// The name that a configuration file has for `value`.
template <IsEnum Enum>
std::string write_value(Enum value) {
  for (const EnumName<Enum>& entry : enum_names(value)) {
    if (entry.value == value) return std::string(entry.name);
  }
  return {};
}

std::string write_value(const std::string& value);
std::string write_value(const std::filesystem::path& value);
std::string write_value(bool value);
std::string write_value(int64_t value);
std::string write_value(uint64_t value);
std::string write_value(double value);
std::string write_value(const std::vector<std::string>& value);
std::string write_value(const Recompute& value);
std::string write_value(const TargetModules& value);
std::string write_value(const std::vector<DatasetConfig>& value);  // block list, from a new line

std::string join(std::span<const std::string_view> words, std::string_view separator);

// "integer, 1..1024", "cosine | linear | constant": what is read, and what a message expects.
// `value` only selects the type.
template <IsEnum Enum>
std::string describe_type(const FieldInfo&, Enum value) {
  std::vector<std::string_view> names;
  for (const EnumName<Enum>& entry : enum_names(value)) names.push_back(entry.name);
  return join(names, " | ");
}

std::string describe_type(const FieldInfo& info, const std::string& value);
std::string describe_type(const FieldInfo& info, const std::filesystem::path& value);
std::string describe_type(const FieldInfo& info, bool value);
std::string describe_type(const FieldInfo& info, int64_t value);
std::string describe_type(const FieldInfo& info, uint64_t value);
std::string describe_type(const FieldInfo& info, double value);
std::string describe_type(const FieldInfo& info, const std::vector<std::string>& value);
std::string describe_type(const FieldInfo& info, const Recompute& value);
std::string describe_type(const FieldInfo& info, const TargetModules& value);
std::string describe_type(const FieldInfo& info, const std::vector<DatasetConfig>& value);

}  // namespace rung
