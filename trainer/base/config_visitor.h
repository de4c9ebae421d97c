// The list of configuration keys: each field once, with name, help, range and other spellings.
//
// run_config_fields() and dataset_fields() hold the lists; visit_fields() walks one and calls
// visitor(info, member) with the pointer to member of each field's own type. Loading, dumping,
// comparing and the reference text are such visitors.
#pragma once

#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/run_config.h"

namespace rung {

// Allowed numbers: from min to max, both included unless open.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool min_is_open = false;
  bool max_is_open = false;

  bool contains(double value) const {
    return (min_is_open ? value > min : value >= min) && (max_is_open ? value < max : value <= max);
  }
};

enum class Need { kOptional, kRequired };
enum class Unit { kNone, kBytes };  // kBytes: 24GiB and the like are read too

// Another tool's word for a value.
struct ValueAlias {
  std::string_view from;
  std::string_view to;
};

struct FieldInfo {
  std::string_view name;
  std::string_view help;
  Range range = {};                                   // numbers
  std::vector<std::string_view> choices = {};         // text; empty = any
  std::vector<std::string_view> aliases = {};         // other names of the key
  std::vector<ValueAlias> value_aliases = {};         // other names of values
  std::vector<std::string_view> unbuilt_values = {};  // known values that are "not supported yet"
  Need need = Need::kOptional;
  Unit unit = Unit::kNone;
  std::string_view default_text = {};  // for the reference, where the default depends on other keys
  std::string_view section = {};       // opens a section of the reference
};

template <class Config>
using Member =
    std::variant<std::string Config::*, std::filesystem::path Config::*, bool Config::*,
                 int64_t Config::*, uint64_t Config::*, double Config::*,
                 std::vector<std::string> Config::*, AdapterKind Config::*, ComputeDtype Config::*,
                 ExcessLength Config::*, LrScheduler Config::*, DatasetType Config::*,
                 TrainOnEos Config::*, InitLora Config::*, Recompute Config::*,
                 TargetModules Config::*, std::vector<DatasetConfig> Config::*>;

template <class Config>
struct Field {
  FieldInfo info;
  Member<Config> member;
};

const std::vector<Field<RunConfig>>& run_config_fields();
const std::vector<Field<DatasetConfig>>& dataset_fields();

template <class Config, class Visitor>
void visit_fields(const std::vector<Field<Config>>& fields, Visitor&& visitor) {
  for (const Field<Config>& field : fields) {
    std::visit([&](auto member) { visitor(field.info, member); }, field.member);
  }
}

template <class Visitor>
void visit_run_config(Visitor&& visitor) {
  visit_fields(run_config_fields(), visitor);
}

}  // namespace rung
