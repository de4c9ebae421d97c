#include "training/failure.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <new>

#include "base/console.h"
#include "base/disk.h"

namespace rung::training {
namespace {

// A library's text: its line breaks divide sentences, unlike those in a name.
std::string text_of(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return one_line(text);
}

}  // namespace

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const c10::OutOfMemoryError& error) {
    return {ExitCode::kDoesNotFit,
            fmt::format("out of memory: {}; lower micro_batch_size, eval_batch_size or "
                        "sequence_len, or raise memory_limit",
                        text_of(error.what_without_backtrace()))};
  } catch (const std::bad_alloc&) {
    return {ExitCode::kDoesNotFit,
            fmt::format("out of memory: {}; lower micro_batch_size, eval_batch_size or "
                        "sequence_len, or free memory of this machine",
                        kRefusedBySystem)};
  } catch (const std::filesystem::filesystem_error& error) {
    return {disk_error_code(error.code()), text_of(error.what())};
  } catch (const c10::Error& error) {
    return {ExitCode::kInternal, "internal: " + text_of(error.what_without_backtrace())};
  } catch (const std::exception& error) {
    return {ExitCode::kInternal, "internal: " + text_of(error.what())};
  }
}

}  // namespace rung::training
