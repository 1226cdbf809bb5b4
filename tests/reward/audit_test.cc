#include "reward/audit.h"

#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("an audit gives golds full marks and hackers their rates") {
  const CompositeReward reward(parse_reward_spec("math", "test"), builtin_rules(), "test");
  ThreadPool pool(2);
  const std::vector<AuditRow> rows = {
      {"1+1", "2", nullptr}, {"2+2", "4", nullptr}, {"1+0", "1", nullptr}, {"4-2", "2", nullptr}};
  const auto cases = audit_reward(pool, reward, rows, "<answer>{}</answer>");
  const auto ok_of = [&](const std::string& name) {
    for (const AuditCase& c : cases) {
      if (c.name == name) return c.ok;
    }
    return int64_t{-1};
  };
  CHECK(ok_of("the gold itself") == 4);
  CHECK(ok_of("nothing") == 0);
  CHECK(ok_of("always 2") == 2);
  CHECK(ok_of("the commonest gold") == 2);
  CHECK(ok_of("the next row's gold") == 0);
  CHECK(audit_report(cases).find("the gold itself             4        4   100.00") !=
        std::string::npos);
}
