#include "training/bench_cache.h"

#include <c10/core/ScalarType.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "base/error.h"
#include "base/sha256.h"
#include "base/version.h"
#include "training/bench_report.h"

namespace rung::training {
namespace {

std::string file_of(const BenchSubject& subject) {
  const format::ModelConfig& model = subject.model;
  const Json key = {{"rung", kVersion},
                    {"device", subject.device},
                    {"num_threads", subject.num_threads},
                    {"base", static_cast<int>(subject.base)},
                    {"compute", c10::toString(subject.compute)},
                    {"architecture", model.architecture},
                    {"vocab_size", model.vocab_size},
                    {"hidden_size", model.hidden_size},
                    {"intermediate_size", model.intermediate_size},
                    {"num_layers", model.num_layers},
                    {"num_heads", model.num_heads},
                    {"num_kv_heads", model.num_kv_heads},
                    {"head_dim", model.head_dim}};
  return sha256_of_text(key.dump(-1, ' ', false, Json::error_handler_t::replace)) + ".json";
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  ::localtime_r(&now, &local);
  return fmt::format("{:%Y-%m-%d}", local);
}

BenchedSpeed speed_of(const Json& entry) {
  const std::optional<double> speed = speed_in(entry.at("bench"));
  if (!speed) throw Error(ExitCode::kDamaged, {.what = "the entry has no speed"});
  return {.flops_per_second = *speed,
          .day = entry.at("day").get<std::string>(),
          .step_tokens = entry.at("step_tokens").get<int64_t>()};
}

}  // namespace

void remember_bench(const UserCache& cache, const BenchResult& result) {
  const BenchSubject subject{.device = result.device,
                             .num_threads = result.num_threads,
                             .model = result.shape,
                             .base = result.base,
                             .compute = result.compute};
  const std::optional<BenchedSpeed> known = remembered_speed(cache, subject);
  if (known && known->step_tokens > result.tokens) return;
  const Json entry = {
      {"day", today()}, {"step_tokens", result.tokens}, {"bench", bench_json(result)}};
  cache.write(file_of(subject), entry.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::optional<BenchedSpeed> remembered_speed(const UserCache& cache, const BenchSubject& subject) {
  const std::optional<std::string> text = cache.read(file_of(subject));
  if (!text) return std::nullopt;
  try {
    return speed_of(parse_json(*text, "the cache"));
  } catch (const Error&) {  // damaged: as though it were not there
  } catch (const Json::exception&) {
  }
  return std::nullopt;
}

std::optional<double> speed_in(const Json& bench) {
  if (!bench.contains("figures") || !bench["figures"].is_array() || bench["figures"].empty()) {
    return std::nullopt;
  }
  const Json& figure = bench["figures"][0];
  if (!figure.contains("tflops") || !figure["tflops"].is_number()) return std::nullopt;
  const double speed = figure["tflops"].get<double>() * 1e12;
  return speed > 0.0 ? std::optional(speed) : std::nullopt;
}

}  // namespace rung::training
