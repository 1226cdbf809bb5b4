#include "cli/run_row.h"

#include "cli/help.h"
#include "core/device.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"

namespace temper {
namespace {

// {"file": "hash", ...}: which data the run saw.
std::string data_hashes(const std::vector<std::string>& files) {
  std::string json = "{";
  for (const std::string& file : files)
    json += (json.size() > 1 ? "," : "") + quote_json(file) + ":" +
            quote_json(fingerprint(read_file(file)));
  return json + "}";
}

std::string environment_json(const Invocation& cli, DType dtype) {
  return "{\"threads\":" + std::to_string(cli.common.threads) + ",\"dtype\":\"" +
         std::string(name_of(dtype)) + "\",\"device\":\"" +
         std::string(name_of(device_of(cli.common.device))) + "\"}";
}

}  // namespace

NewRun run_row(const Invocation& cli, const RunFacts& facts) {
  return {.kind = facts.kind,
          .model = facts.model,
          .seed = static_cast<uint64_t>(facts.seed),
          .code_version = version_text(),
          .command_line = cli.command_line,
          .config = cli.options.to_json(),
          .data_hashes = data_hashes(facts.data),
          .environment = environment_json(cli, facts.dtype)};
}

}  // namespace temper
