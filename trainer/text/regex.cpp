#include "text/regex.h"

#include <fmt/format.h>
#include <oniguruma.h>

#include <mutex>
#include <utility>

#include "base/error.h"
#include "text/unicode.h"

namespace rung::text {
namespace {

constexpr size_t kMaxPatternBytes = 64 << 10;
// Backtracking steps of one search: some seconds at the very most.
constexpr unsigned long kMaxRetries = 50'000'000;
// Entries of some 50 bytes; a greedy run takes one a character.
constexpr unsigned int kMaxStackEntries = 8'000'000;

std::string error_text(int code, OnigErrorInfo* info = nullptr) {
  OnigUChar buffer[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int length =
      info ? onig_error_code_to_str(buffer, code, info) : onig_error_code_to_str(buffer, code);
  return {reinterpret_cast<const char*>(buffer), static_cast<size_t>(length)};
}

const OnigUChar* bytes_of(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

void initialize_library() {
  static std::once_flag once;
  std::call_once(once, [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    onig_initialize(encodings, 1);
  });
}

struct FreeRegion {
  void operator()(OnigRegion* region) const { onig_region_free(region, 1); }
};

}  // namespace

struct Regex::Program {
  OnigRegex regex = nullptr;
  OnigMatchParam* limits = nullptr;
};

void Regex::Free::operator()(Program* program) const {
  if (program->regex) onig_free(program->regex);
  if (program->limits) onig_free_match_param(program->limits);
  delete program;
}

Regex::Regex(std::string pattern, std::string where)
    : pattern_(std::move(pattern)), where_(std::move(where)), program_(new Program) {
  initialize_library();
  if (pattern_.size() > kMaxPatternBytes) {
    throw Error(ExitCode::kDamaged, {.what = "a regular expression is too long",
                                     .got = fmt::format("{} bytes", pattern_.size()),
                                     .expected = fmt::format("at most {}", kMaxPatternBytes),
                                     .where = where_});
  }
  OnigErrorInfo info;
  const int status =
      onig_new(&program_->regex, bytes_of(pattern_), bytes_of(pattern_) + pattern_.size(),
               ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_RUBY, &info);
  if (status != ONIG_NORMAL) {
    throw Error(ExitCode::kDamaged,
                {.what = fmt::format("the regular expression \"{}\" does not compile: {}", pattern_,
                                     error_text(status, &info)),
                 .where = where_});
  }
  program_->limits = onig_new_match_param();
  onig_initialize_match_param(program_->limits);
  onig_set_retry_limit_in_match_of_match_param(program_->limits, kMaxRetries);
  onig_set_retry_limit_in_search_of_match_param(program_->limits, kMaxRetries);
  onig_set_match_stack_limit_size_of_match_param(program_->limits, kMaxStackEntries);
}

std::vector<Match> Regex::find_all(std::string_view text) const {
  std::vector<Match> matches;
  const std::unique_ptr<OnigRegion, FreeRegion> region(onig_region_new());
  const OnigUChar* begin = bytes_of(text);
  const OnigUChar* end = begin + text.size();
  size_t from = 0;
  std::optional<size_t> previous_end;
  while (from <= text.size()) {
    const int status = onig_search_with_param(program_->regex, begin, end, begin + from, end,
                                              region.get(), ONIG_OPTION_NONE, program_->limits);
    if (status == ONIG_MISMATCH) break;
    if (status < 0) {
      throw Error(ExitCode::kConfig,
                  {.what = fmt::format("the regular expression \"{}\" gave up on {} bytes of text: "
                                       "{}",
                                       pattern_, text.size(), error_text(status)),
                   .where = where_});
    }
    const Match match{static_cast<size_t>(region->beg[0]), static_cast<size_t>(region->end[0])};
    if (match.begin == match.end && previous_end == match.end) {
      from += from < text.size() ? code_point_at(text, from).length : 1;
      continue;
    }
    matches.push_back(match);
    from = match.end;
    previous_end = match.end;
  }
  return matches;
}

}  // namespace rung::text
