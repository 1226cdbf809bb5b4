// The event files against a reader written from the format's description.
#include "cli/event_file.h"

#include <cstring>
#include <map>

#include "tests/support/catch.h"
#include "tests/support/event_reader.h"

using namespace temper;

TEST_CASE("event file: CRC-32C of the standard's vectors") {
  CHECK(crc32c("123456789") == 0xe3069283);            // the check value of the algorithm
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);  // RFC 3720, B.4
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43);
  CHECK(masked_crc32c("") == 0xa282ead8);
}

TEST_CASE("event file: what is written is read back") {
  EventFile file(1700000000.5);
  file.add(1700000001.25, 1, {{"policy/loss", 0.5}, {"grad_norm", -2.25}});
  file.add(1700000002.0, 300, {{"policy/loss", 0.25}});
  const std::vector<test::ReadEvent> events = test::read_events(file.bytes());
  REQUIRE(events.size() == 3);
  CHECK(events[0].file_version == "brain.Event:2");
  CHECK(events[0].wall_time == 1700000000.5);
  CHECK(events[1].step == 1);
  CHECK(events[1].scalars ==
        std::map<std::string, float>{{"policy/loss", 0.5f}, {"grad_norm", -2.25f}});
  CHECK(events[2].step == 300);
  CHECK(events[2].wall_time == 1700000002.0);
  std::string damaged = file.bytes();
  damaged[damaged.size() - 6] ^= 1;
  CHECK_THROWS(test::read_events(damaged));
}
