// TensorBoard's event files, written by hand: scalars only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace temper {

struct EventScalar {
  std::string tag;
  double value = 0.0;
};

// The bytes of an event file.
//   EventFile file(started);
//   file.add(time, step, {{"loss", 0.5}});
// Source: TFRecord framing, length and data each followed by its masked CRC-32C:
// tensorflow/core/lib/io/record_writer.h and lib/hash/crc32c.h; messages Event and Summary:
// tensorflow/core/util/event.proto and framework/summary.proto (also tensorboard/compat/proto).
class EventFile {
 public:
  // Begins with the version that every reader asks for.
  explicit EventFile(double wall_time);

  // One record with all these scalars.
  void add(double wall_time, int64_t step, const std::vector<EventScalar>& scalars);

  const std::string& bytes() const { return bytes_; }

 private:
  void add_record(std::string_view event);

  std::string bytes_;
};

// CRC-32C (Castagnoli) of bytes, and the form in which TFRecord keeps it.
// Source: RFC 3720, appendix B.4; the mask: tensorflow/core/lib/hash/crc32c.h.
uint32_t crc32c(std::string_view bytes);
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace temper
