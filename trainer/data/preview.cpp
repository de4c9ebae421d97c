#include "data/preview.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "data/epoch_length.h"

namespace rung::data {
namespace {

// Tokens [begin, end) that are all learnt or all not.
struct Run {
  size_t begin = 0;
  size_t end = 0;
  bool learnt = false;
};

// The first token is never a target, whatever its label.
bool is_learnt(const Example& example, size_t i) { return i > 0 && example.labels[i] != kIgnore; }

std::vector<Run> learnt_runs(const Example& example) {
  std::vector<Run> runs;
  for (size_t i = 0; i < example.input_ids.size(); ++i) {
    const bool learnt = is_learnt(example, i);
    if (runs.empty() || runs.back().learnt != learnt) {
      runs.push_back({.begin = i, .end = i, .learnt = learnt});
    }
    runs.back().end = i + 1;
  }
  return runs;
}

std::string decode(const Example& example, size_t num_tokens, const text::Tokenizer& tokenizer) {
  return tokenizer.decode(std::span(example.input_ids).first(num_tokens),
                          text::SpecialOutput::kKeep);
}

constexpr std::string_view kLearntColour = "\x1b[1;32m";  // bold green
constexpr std::string_view kOtherColour = "\x1b[2m";      // dim
constexpr std::string_view kPlain = "\x1b[0m";

std::string mark(std::string_view text, bool learnt, Marks marks) {
  const std::string shown = escape_for_terminal(text);
  if (marks == Marks::kColours) {
    return fmt::format("{}{}{}", learnt ? kLearntColour : kOtherColour, shown, kPlain);
  }
  return learnt ? fmt::format("⟦{}⟧", shown) : shown;
}

std::string show_labels(const Example& example) {
  std::string text;
  for (size_t i = 0; i < example.labels.size();) {
    size_t end = i + 1;
    if (example.labels[i] == kIgnore) {
      while (end < example.labels.size() && example.labels[end] == kIgnore) ++end;
    }
    text += i == 0 ? "" : " ";
    text +=
        end - i > 1 ? fmt::format("{}x{}", kIgnore, end - i) : fmt::format("{}", example.labels[i]);
    i = end;
  }
  return text;
}

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string show_histogram(const std::vector<LengthBin>& bins) {
  constexpr int64_t kBarLength = 40;
  int64_t largest = 1;
  for (const LengthBin& bin : bins) largest = std::max(largest, bin.count);
  std::string text;
  int64_t from = 1;
  for (const LengthBin& bin : bins) {
    const auto bar = static_cast<size_t>((bin.count * kBarLength + largest - 1) / largest);
    text += fmt::format("  {:>6}-{:<6} {:>8} {}\n", from, bin.up_to, format_count(bin.count),
                        std::string(bar, '#'));
    from = bin.up_to + 1;
  }
  return text;
}

}  // namespace

std::string mark_learnt(const Example& example, const text::Tokenizer& tokenizer, Marks marks) {
  // Some decoders treat the start of a text specially and a character may span tokens, so each
  // run's text is what it adds to the text of all tokens before it.
  std::string marked;
  size_t shown = 0;
  for (const Run& run : learnt_runs(example)) {
    const std::string text = decode(example, run.end, tokenizer);
    shown = std::min(shown, text.size());
    marked += mark(std::string_view(text).substr(shown), run.learnt, marks);
    shown = text.size();
  }
  return marked;
}

std::string show_example(const Example& example, const text::Tokenizer& tokenizer, Marks marks) {
  return fmt::format("{}: {}, {} learnt\n{}\nids: {}\nlabels: {}\n",
                     escape_for_terminal(example.source),
                     format_counted(example.num_tokens(), "token"), example.num_supervised(),
                     mark_learnt(example, tokenizer, marks), fmt::join(example.input_ids, " "),
                     show_labels(example));
}

Json row_json(int64_t row, const Example& example, const text::Tokenizer& tokenizer) {
  return {{"row", row},
          {"text", decode(example, example.input_ids.size(), tokenizer)},
          {"input_ids", example.input_ids},
          {"labels", example.labels},
          {"source", example.source}};
}

BatchReport report_batches(const std::vector<Example>& examples, const RunConfig& run) {
  int64_t tokens = 0;
  for (const Example& example : examples) tokens += example.num_tokens();
  BatchReport report;
  report.packed_rows =
      rows_in_epoch(examples, {.sequence_len = run.sequence_len, .sample_packing = true});
  report.packed_filled = share(tokens, report.packed_rows * run.sequence_len);
  report.rows = run.sample_packing ? report.packed_rows : static_cast<int64_t>(examples.size());
  const int64_t rows_per_step = run.micro_batch_size * run.gradient_accumulation_steps;
  report.steps = (report.rows + rows_per_step - 1) / rows_per_step;
  return report;
}

std::vector<LengthBin> length_histogram(const std::vector<Example>& examples) {
  constexpr int64_t kMaxBins = 8;
  int64_t longest = 1;
  for (const Example& example : examples) longest = std::max(longest, example.num_tokens());
  int64_t width = 1;
  while (width * kMaxBins < longest) width *= 2;
  std::vector<LengthBin> bins;
  for (int64_t up_to = width; up_to < longest + width; up_to += width) {
    bins.push_back({.up_to = up_to});
  }
  for (const Example& example : examples) {
    ++bins[static_cast<size_t>(std::max<int64_t>(example.num_tokens() - 1, 0) / width)].count;
  }
  return bins;
}

Json summary_json(const DataSummary& summary, const RunConfig& run) {
  Json counts = counts_json(summary.read);
  Json lengths = Json::array();
  for (const LengthBin& bin : summary.lengths) {
    lengths.push_back({{"up_to", bin.up_to}, {"count", bin.count}});
  }
  counts.update({{"sequence_len", run.sequence_len},
                 {"train", summary.num_train},
                 {"validation", summary.num_validation},
                 {"rows_per_epoch", summary.batches.rows},
                 {"steps_per_epoch", summary.batches.steps},
                 {"packed_rows", summary.batches.packed_rows},
                 {"packing_efficiency", summary.batches.packed_filled},
                 {"lengths", lengths}});
  return {{"summary", std::move(counts)}};
}

std::string show_summary(const DataSummary& summary, const RunConfig& run) {
  const DatasetReport& read = summary.read;
  std::string text =
      fmt::format("records: {} read, {} kept", format_count(read.read), format_count(read.kept));
  if (read.too_long > 0) {
    text += fmt::format(", {} dropped as longer than sequence_len", format_count(read.too_long));
  }
  if (read.truncated > 0) text += fmt::format(", {} truncated", format_count(read.truncated));
  if (read.without_labels > 0) {
    text += fmt::format(", {} dropped with nothing to learn", format_count(read.without_labels));
  }
  text += fmt::format("\ntokens: {}, {} learnt ({:.0f} %); longest record {} of sequence_len {}\n",
                      format_count(read.tokens), format_count(read.supervised_tokens),
                      100.0 * share(read.supervised_tokens, read.tokens),
                      format_count(read.longest), format_count(run.sequence_len));
  text += "lengths in tokens:\n" + show_histogram(summary.lengths);
  text += fmt::format("training: {}, {} an epoch ({} x {}); validation: {}\n",
                      format_counted(summary.num_train, "example"),
                      format_counted(summary.batches.steps, "step"),
                      run.gradient_accumulation_steps, format_counted(run.micro_batch_size, "row"),
                      format_count(summary.num_validation));
  text +=
      fmt::format("packing: {}{} of {}, {:.1f} % filled\n",
                  run.sample_packing ? "" : "off; sample_packing: true would make ",
                  format_counted(summary.batches.packed_rows, "row"),
                  format_counted(run.sequence_len, "token"), 100.0 * summary.batches.packed_filled);
  return text;
}

}  // namespace rung::data
