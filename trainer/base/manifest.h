// manifest.json: the names, sizes and SHA-256 hashes of the files of a published folder.
//
// {"format": "rung-manifest-1", "files": [{"name", "bytes", "sha256"}, ...]}, names relative to
// the folder. verify_manifest (base/publish.h) reads it.
#pragma once

#include <filesystem>

namespace rung {

// Syncs all files under `dir` to disk, writes their manifest, and syncs it and the folders.
void write_manifest(const std::filesystem::path& dir);

}  // namespace rung
