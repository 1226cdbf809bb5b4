// Colours only where a person sees them.
#include "cli/colour.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/support/catch.h"

using namespace temper;

namespace {

// A terminal in place of stdout, while it lives.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)), stdout_(dup(STDOUT_FILENO)) {
    REQUIRE(master_ >= 0);
    REQUIRE(grantpt(master_) == 0);
    REQUIRE(unlockpt(master_) == 0);
    const int slave = open(ptsname(master_), O_RDWR | O_NOCTTY);
    REQUIRE(slave >= 0);
    dup2(slave, STDOUT_FILENO);
    close(slave);
  }
  ~Terminal() {
    dup2(stdout_, STDOUT_FILENO);
    close(stdout_);
    close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

 private:
  int master_, stdout_;
};

bool on_a_terminal(const char* no_color, const char* term) {
  const Terminal terminal;
  no_color == nullptr ? unsetenv("NO_COLOR") : setenv("NO_COLOR", no_color, 1);
  term == nullptr ? unsetenv("TERM") : setenv("TERM", term, 1);
  return wants_colours(ColourMode::automatic);
}

}  // namespace

TEST_CASE("colours: on a terminal, unless NO_COLOR or the terminal says no") {
  const char* term = std::getenv("TERM");
  const std::string before = term == nullptr ? "" : term;
  const bool plain = on_a_terminal(nullptr, "xterm"), empty = on_a_terminal("", "xterm");
  const bool refused = on_a_terminal("1", "xterm"), dumb = on_a_terminal(nullptr, "dumb");
  const bool unknown = on_a_terminal(nullptr, nullptr);
  before.empty() ? unsetenv("TERM") : setenv("TERM", before.c_str(), 1);
  CHECK(plain);
  CHECK(empty);  // no-color.org: when present and not an empty string
  CHECK_FALSE(refused);
  CHECK_FALSE(dumb);
  CHECK_FALSE(unknown);
  CHECK(wants_colours(ColourMode::always));
  CHECK_FALSE(wants_colours(ColourMode::never));
}
