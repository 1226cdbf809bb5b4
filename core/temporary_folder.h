// Folders that are needed for a while.
#pragma once

#include <filesystem>
#include <string>

namespace temper {

// Makes an empty folder `stem`-XXXXXX of a new name where the system keeps temporary files (TMPDIR,
// else /tmp), readable by this user alone. The caller removes it. Throws SystemError.
std::filesystem::path make_temporary_folder(const std::string& stem);

}  // namespace temper
