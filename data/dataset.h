// Data files as samples to train on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/chat_template.h"
#include "data/sample.h"
#include "data/tokenizer.h"

namespace temper {

// What becomes of a row of more tokens than fit.
enum class LongRows { truncate, drop, refuse };

struct SftDataOptions {
  int64_t max_tokens = 0;  // 0: no limit
  LongRows long_rows = LongRows::truncate;
  int64_t vocab_size = 0;  // ids must be below; 0: not checked
};

// What happened to the rows.
struct SftCounts {
  int64_t rows = 0;                 // in the files
  int64_t kept = 0;                 // samples
  int64_t truncated = 0;            // cut to max_tokens, and kept
  int64_t dropped = 0;              // too long
  int64_t empty_mask = 0;           // nothing to learn: no answer, or the cut left none; not kept
  int64_t tokens = 0, targets = 0;  // of the samples

  // "7473 rows, 7470 samples, 1.2M tokens (0.8M with loss); 3 cut to 512 tokens, ..."
  std::string summary() const;
  // What a user should know, one sentence a line; "" if all is well.
  std::string warnings() const;
};

struct SftData {
  std::vector<Sample> samples;
  SftCounts counts;
};

// Turns one row into a sample:
//   {"messages":[{"role","content"},...]}  rendered by the template; loss on every answer and its
//                                          stop token
//   {"prompt","completion"}                one user turn and one answer; so are question, problem,
//                                          instruction with response, output, solution, answer
//   {"ids":[...]}                          as they are; loss on every token after the first, or
//                                          where "mask" (same length) has 1
class SftRowReader {
 public:
  // Both may be nullptr where all rows are ids; they must outlive the reader.
  SftRowReader(const Tokenizer* tokenizer, const ChatTemplate* chat, int64_t vocab_size = 0)
      : tokenizer_(tokenizer), chat_(chat), vocab_size_(vocab_size) {}

  // Throws UserError naming `where` if the row is none of these or is malformed.
  Sample read(const JsonValue& row, const std::string& where) const;
  // The text of a row that is not ids, with its loss flags.
  std::vector<Segment> render(const JsonValue& row, const std::string& where) const;

 private:
  const Tokenizer* tokenizer_;
  const ChatTemplate* chat_;
  int64_t vocab_size_;
};

// Reads whole files. Throws UserError naming file and line for a bad row, for a row that is too
// long under LongRows::refuse, and if no sample is left.
SftData read_sft_data(const std::vector<std::filesystem::path>& files, const SftRowReader& reader,
                      const SftDataOptions& options);

// A split that depends on nothing but (seed, count, held_out): both lists ascending, disjoint.
struct HeldOutSplit {
  std::vector<uint32_t> train, held_out;
};
HeldOutSplit split_held_out(size_t count, size_t held_out, uint64_t seed);

}  // namespace temper
