#include "text/tokenizer/normal_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "text/unicode.h"

namespace rung::text {
namespace {

// A decomposed character. Its place in the text is kept as the number of characters that it adds
// (> 0: it stands beside the one before) or swallows (< 0), which survives reordering.
struct Part {
  utf8proc_int32_t code_point = 0;
  int combining_class = 0;
  int change = 0;
};

bool composes(NormalForm form) { return form == NormalForm::kNfc || form == NormalForm::kNfkc; }
bool is_compatibility(NormalForm form) {
  return form == NormalForm::kNfkc || form == NormalForm::kNfkd;
}

int combining_class(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// The characters of `text`, each fully decomposed, marks in canonical order.
std::vector<Part> decompose(std::string_view text, NormalForm form) {
  const auto options = static_cast<utf8proc_option_t>(
      UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (is_compatibility(form) ? UTF8PROC_COMPAT : 0));
  std::vector<Part> parts;
  parts.reserve(text.size());
  utf8proc_int32_t buffer[32];  // the longest decomposition has 18 characters
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    i += c.length;
    int boundary_class = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value),
                                                           buffer, 32, options, &boundary_class);
    for (utf8proc_ssize_t k = 0; k < count; ++k) {
      parts.push_back({buffer[k], combining_class(buffer[k]), k > 0 ? 1 : 0});
    }
  }
  for (auto begin = parts.begin(); begin != parts.end();) {
    if (begin->combining_class == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, parts.end(), [](const Part& p) { return p.combining_class == 0; });
    std::stable_sort(begin, end, [](const Part& a, const Part& b) {
      return a.combining_class < b.combining_class;
    });
    begin = end;
  }
  return parts;
}

// The primary composite of a pair, 0 where there is none.
utf8proc_int32_t compose_pair(utf8proc_int32_t first, utf8proc_int32_t second) {
  utf8proc_int32_t pair[2] = {first, second};
  const utf8proc_ssize_t length = utf8proc_normalize_utf32(
      pair, 2, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  return length == 1 ? pair[0] : 0;
}

// UAX #15, D117: each character composes with the last starter unless one of equal or higher class
// stands between them.
std::vector<Part> compose(const std::vector<Part>& parts) {
  constexpr size_t kNone = SIZE_MAX;
  std::vector<Part> composed;
  composed.reserve(parts.size());
  size_t starter = kNone;
  for (const Part& part : parts) {
    const bool adjacent = starter != kNone && starter + 1 == composed.size();
    const bool blocked =
        !adjacent && starter != kNone && composed.back().combining_class >= part.combining_class;
    const utf8proc_int32_t composite =
        starter == kNone || blocked ? 0
                                    : compose_pair(composed[starter].code_point, part.code_point);
    if (composite != 0) {
      composed[starter].code_point = composite;
      composed[starter].change += part.change - 1;
      continue;
    }
    if (part.combining_class == 0) starter = composed.size();
    composed.push_back(part);
  }
  return composed;
}

}  // namespace

bool is_normal(std::string_view text, NormalForm form) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const CodePoint c = code_point_at(text, i);
    i += c.length;
    // Nothing below the first combining mark changes in NFC.
    if (form == NormalForm::kNfc && c.value < 0x300) continue;
    const utf8proc_property_t* property =
        utf8proc_get_property(static_cast<utf8proc_int32_t>(c.value));
    // What may compose with the character before it is a mark or a Hangul vowel or final.
    const bool mark =
        property->category >= UTF8PROC_CATEGORY_MN && property->category <= UTF8PROC_CATEGORY_ME;
    const bool hangul = (c.value >= 0x1100 && c.value <= 0x11ff) ||
                        (c.value >= 0xac00 && c.value <= 0xd7a3 && !composes(form));
    if (mark || hangul || property->combining_class != 0 ||
        property->decomp_seqindex != UINT16_MAX) {
      return false;
    }
  }
  return true;
}

void normalize(NormalForm form, AlignedText& text) {
  std::vector<Part> parts = decompose(text.text, form);
  if (composes(form)) parts = compose(parts);

  std::vector<Source> characters;  // the source of each character of the text
  for (size_t i = 0; i < text.text.size(); i += code_point_at(text.text, i).length) {
    characters.push_back(text.sources[i]);
  }
  AlignedText normal;
  size_t next = 0;
  for (const Part& part : parts) {
    const size_t character = part.change > 0 ? next - std::min<size_t>(next, 1) : next;
    if (part.change <= 0) next += static_cast<size_t>(1 - part.change);
    const Source source = characters[std::min(character, characters.size() - 1)];
    normal.append(to_utf8(static_cast<char32_t>(part.code_point)), source);
  }
  text = std::move(normal);
}

}  // namespace rung::text
