#include "core/progress.h"

#include <sstream>

#include "core/interrupt.h"
#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("log: lines stand above the status line, warnings count and are never silent") {
  std::ostringstream sink;
  Logger log(sink, {.terminal = true, .width = 6});
  log.status("12345678");
  CHECK(sink.str() == "\r\033[K12345");  // cut to the width
  sink.str("");
  log.warn("hot");
  CHECK(sink.str() == "\r\033[Kwarning: hot\n12345");
  log.end_status();
  sink.str("");
  log.info("cold");
  CHECK(sink.str() == "cold\n");
  std::ostringstream quiet_sink;
  Logger quiet(quiet_sink, {.quiet = true});
  quiet.info("cold");
  quiet.warn("hot");
  CHECK(quiet_sink.str() == "warning: hot\n");
  CHECK(quiet.warnings() == 1);
}

TEST_CASE("log: a status line is cut between characters, not inside one") {
  std::ostringstream sink;
  Logger log(sink, {.terminal = true, .width = 4});
  log.status("é\xE2\x82\xAC漢字");
  CHECK(sink.str() == "\r\033[Ké\xE2\x82\xAC漢");
}

TEST_CASE("progress: figures, tokens a second and time left") {
  std::ostringstream sink;
  Logger log(sink, {.terminal = true, .width = 200});
  double now = 100;
  {
    Progress bar(log, {.label = "grpo", .total = 40, .clock = [&] { return now; }});
    now = 110;
    bar.update(10, {{"reward", 0.51234}, {"loss", -0.25}}, 25000);
    CHECK(bar.text(now) ==
          "grpo [#####...............] step 10/40  reward 0.5123  loss -0.25  2.5k tok/s  "
          "left 0:30");
    CHECK(bar.tokens_per_second() == Approx(2500));
    sink.str("");
    bar.update(11);
    CHECK(sink.str().empty());  // drawn at most ten times a second
    now = 150;
    bar.update(40);
    CHECK(sink.str().find("step 40/40  took 0:50") != std::string::npos);
  }
  CHECK(sink.str().back() == '\n');  // the last state is left standing
}

TEST_CASE("progress: plain lines every ten seconds and a last one when not a terminal") {
  std::ostringstream sink;
  Logger log(sink);
  double now = 0;
  {
    Progress bar(log, {.label = "eval", .total = 100, .clock = [&] { return now; }});
    for (int i = 1; i <= 100; ++i) {
      now += 0.25;
      bar.update(i);
    }
  }
  CHECK(sink.str() ==
        "eval step 40/100  left 0:15\n"
        "eval step 80/100  left 0:05\n"
        "eval step 100/100  took 0:25\n");
}

TEST_CASE("progress: durations and counts read well") {
  CHECK(duration_text(7.4) == "0:07");
  CHECK(duration_text(759.6) == "12:40");
  CHECK(duration_text(11100) == "3:05:00");
  CHECK(count_text(872.6) == "873");
  CHECK(count_text(12400) == "12.4k");
  CHECK(count_text(99960) == "100k");
  CHECK(count_text(3.1e6) == "3.10M");
}

TEST_CASE("interrupt: a request stays") {
  Interrupt interrupt;
  CHECK_FALSE(interrupt.requested());
  interrupt.request();
  CHECK(interrupt.requested());
}
