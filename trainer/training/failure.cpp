#include "training/failure.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <new>
#include <system_error>

namespace rung::training {
namespace {

// A library's text may have line breaks in it.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return escape_for_terminal(text);
}

// A path that cannot be used was chosen wrongly; the rest (disk full, I/O) happened to a good one.
ExitCode file_system_code(const std::error_code& code) {
  for (const std::errc choice :
       {std::errc::permission_denied, std::errc::operation_not_permitted,
        std::errc::read_only_file_system, std::errc::not_a_directory, std::errc::is_a_directory,
        std::errc::filename_too_long, std::errc::no_such_file_or_directory}) {
    if (code == choice) return ExitCode::kConfig;
  }
  return ExitCode::kDamaged;
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
                        one_line(error.what_without_backtrace()))};
  } catch (const std::bad_alloc&) {
    return {ExitCode::kDoesNotFit, "out of memory"};
  } catch (const std::filesystem::filesystem_error& error) {
    return {file_system_code(error.code()), one_line(error.what())};
  } catch (const c10::Error& error) {
    return {ExitCode::kInternal, "internal: " + one_line(error.what_without_backtrace())};
  } catch (const std::exception& error) {
    return {ExitCode::kInternal, "internal: " + one_line(error.what())};
  }
}

}  // namespace rung::training
