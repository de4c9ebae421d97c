// Bytes by component, of which a record has two for each of a million steps: the names, the same in
// all of them, are shared.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rung::monitor {

using Bytes = int64_t;

class ByComponent {
 public:
  using Names = std::vector<std::string>;  // in rising order, each once

  ByComponent() = default;
  ByComponent(std::initializer_list<std::pair<std::string_view, Bytes>> entries) {
    for (const auto& [name, bytes] : entries) (*this)[name] = bytes;
  }

  bool empty() const { return bytes_.empty(); }
  size_t size() const { return bytes_.size(); }
  const std::string& name(size_t i) const { return (*names_)[i]; }
  Bytes bytes(size_t i) const { return bytes_[i]; }

  bool contains(std::string_view name) const { return is_at(place_of(name), name); }
  // Of `name`, 0 where it is not there.
  Bytes at(std::string_view name) const {
    const size_t i = place_of(name);
    return is_at(i, name) ? bytes_[i] : 0;
  }
  // Likewise, and it is there afterwards.
  Bytes& operator[](std::string_view name) {
    const size_t i = place_of(name);
    if (is_at(i, name)) return bytes_[i];
    auto names = names_ ? std::make_shared<Names>(*names_) : std::make_shared<Names>();
    names->insert(names->begin() + static_cast<std::ptrdiff_t>(i), std::string(name));
    names_ = std::move(names);
    return *bytes_.insert(bytes_.begin() + static_cast<std::ptrdiff_t>(i), 0);
  }
  // Holds the names of `other` instead of its own where they are the same.
  void share_names_of(const ByComponent& other) {
    if (names_ && other.names_ && *names_ == *other.names_) names_ = other.names_;
    bytes_.shrink_to_fit();
  }

  bool operator==(const ByComponent& other) const {
    if (size() != other.size()) return false;
    return empty() || (*names_ == *other.names_ && bytes_ == other.bytes_);
  }

 private:
  size_t place_of(std::string_view name) const {
    if (!names_) return 0;
    return static_cast<size_t>(std::ranges::lower_bound(*names_, name) - names_->begin());
  }
  bool is_at(size_t i, std::string_view name) const { return i < size() && (*names_)[i] == name; }

  std::shared_ptr<const Names> names_;  // as many as bytes_
  std::vector<Bytes> bytes_;
};

}  // namespace rung::monitor
