#include "base/sha256.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace rung {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;

[[noreturn]] void fail_to_read(const std::filesystem::path& path) {
  throw Error(
      ExitCode::kDamaged,
      {.what = "the file cannot be read", .got = std::strerror(errno), .where = path.string()});
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) {
    throw std::bad_alloc();
  }
}

void Sha256::update(const void* data, size_t num_bytes) {
  EVP_DigestUpdate(context_.get(), data, num_bytes);
}

std::string Sha256::hex_digest() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_.get(), digest, &size);
  return fmt::format("{:02x}", fmt::join(digest, digest + size, ""));
}

std::string sha256_of_text(std::string_view text) {
  Sha256 hash;
  hash.update(text.data(), text.size());
  return hash.hex_digest();
}

std::string sha256_of_file(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) fail_to_read(path);
  Sha256 hash;
  std::vector<char> buffer(kReadBytes);
  while (true) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_to_read(path);
    if (count == 0) return hash.hex_digest();
    hash.update(buffer.data(), static_cast<size_t>(count));
  }
}

}  // namespace rung
