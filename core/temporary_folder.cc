#include "core/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace temper {

std::filesystem::path make_temporary_folder(const std::string& stem) {
  const std::filesystem::path parent = std::filesystem::temp_directory_path();
  std::string name = (parent / (stem + "-XXXXXX")).string();
  if (mkdtemp(name.data()) == nullptr)
    throw SystemError("cannot make a folder in " + parent.string() + ": " + std::strerror(errno));
  return name;
}

}  // namespace temper
