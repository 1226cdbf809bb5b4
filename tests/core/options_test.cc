#include "core/options.h"

#include <limits>

#include "core/config_file.h"
#include "core/error.h"
#include "core/json.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

enum class Schedule { constant, cosine };

struct Settings {
  std::string model;
  std::filesystem::path out = "run";
  double rate = 1e-5;
  float clip = 0.1f;
  int steps = 10;
  int64_t seed = 0;
  bool mask = true;
  Schedule schedule = Schedule::cosine;
  std::vector<std::string> stop = {"</s>"};
  std::vector<int64_t> ids;
};

OptionsTable table_of(Settings& s) {
  OptionsTable table;
  table.group("Input");
  table.add("model", &s.model, "checkpoint").required();
  table.add("out", &s.out, "run folder");
  table.group("Optimiser");
  table.add("learning-rate", &s.rate, "peak").above(0).unit("a step");
  table.add("clip", &s.clip, "clip").range(0, 1);
  table.add("steps", &s.steps, "steps").at_least(1);
  table.add("seed", &s.seed, "seed").at_least(0);
  table.add("mask", &s.mask, "mask");
  table.add_choice("schedule", &s.schedule,
                   {{"constant", Schedule::constant}, {"cosine", Schedule::cosine}}, "schedule");
  table.add("stop", &s.stop, "stop strings");
  table.add("ids", &s.ids, "ids").comma_separated();
  return table;
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void apply_text(OptionsTable& table, const std::string& text) {
  apply_config(table, parse_config(text, "f.toml"), "f.toml", "sft", {"grpo"});
}

}  // namespace

TEST_CASE("options set the bound fields and remember where a value came from") {
  Settings s;
  OptionsTable table = table_of(s);
  table.find_flag("learning-rate")->set({"2e-4"}, "--learning-rate", OptionOrigin::flag);
  table.find_flag("steps")->set({"1_000"}, "--steps", OptionOrigin::flag);
  table.find_flag("mask")->set({"false"}, "--mask", OptionOrigin::flag);
  table.find_flag("schedule")->set({"constant"}, "--schedule", OptionOrigin::flag);
  table.find_flag("ids")->set({"1,2", "-3"}, "--ids", OptionOrigin::flag);
  table.find_flag("out")->set({"b c"}, "--out", OptionOrigin::flag);
  CHECK(s.rate == 2e-4);
  CHECK(s.steps == 1000);
  CHECK_FALSE(s.mask);
  CHECK(s.schedule == Schedule::constant);
  CHECK(s.ids == std::vector<int64_t>{1, 2, -3});
  CHECK(s.out.string() == "b c");
  CHECK(table.find_key("learning_rate")->origin() == OptionOrigin::flag);
  CHECK(table.find_key("seed")->origin() == OptionOrigin::default_value);
  CHECK(table.find_key("learning_rate")->default_values()[0] == "1e-05");
}

TEST_CASE("a preset fills what neither a file nor a flag sets") {
  Settings s;
  OptionsTable table = table_of(s);
  std::string preset = "none";
  table.add_preset("preset", &preset,
                   {{"fast", {{"learning-rate", "1e-2"}, {"steps", "5"}, {"mask", "false"}}},
                    {"slow", {{"steps", "50000"}}}},
                   "settings by name");
  table.apply_preset();
  CHECK(table.find_flag("steps")->origin() == OptionOrigin::default_value);
  table.find_flag("steps")->set({"7"}, "run.toml:1", OptionOrigin::file);
  table.find_flag("preset")->set({"fast"}, "--preset", OptionOrigin::flag);
  table.apply_preset();
  CHECK(s.rate == 1e-2);
  CHECK(s.steps == 7);
  CHECK_FALSE(s.mask);
  CHECK(table.find_flag("learning-rate")->origin() == OptionOrigin::preset);
  CHECK_THROWS_AS(table.find_flag("preset")->set({"fats"}, "--preset", OptionOrigin::flag),
                  UserError);
  std::string other;
  CHECK_THROWS_AS(table.add_preset("again", &other, {}, ""), ContractError);
}

TEST_CASE("options refuse what does not parse or is out of range, naming the place") {
  Settings s;
  OptionsTable table = table_of(s);
  const auto set = [&](const char* flag, const char* value) {
    return message_of([&] { table.find_flag(flag)->set({value}, "HERE", OptionOrigin::flag); });
  };
  CHECK(contains(set("learning-rate", "0"), "HERE: learning_rate is out of range"));
  CHECK(contains(set("learning-rate", "0"), "above 0"));
  CHECK(contains(set("learning-rate", "nan"), "not finite"));
  CHECK(contains(set("learning-rate", "1e-4x"), "not a number"));
  CHECK(contains(set("clip", "1.5"), "0 to 1"));
  CHECK(contains(set("steps", "0"), "at least 1"));
  CHECK(contains(set("steps", "3000000000"), "out of range"));  // the field is 32 bits wide
  CHECK(contains(set("steps", "2.5"), "not a whole number"));
  CHECK(contains(set("mask", "maybe"), "true or false"));
  CHECK(contains(set("schedule", "cosin"), "did you mean 'cosine'?"));
  CHECK(set("seed", "9223372036854775807") == "no error");
  CHECK(s.seed == std::numeric_limits<int64_t>::max());
  CHECK(s.rate == 1e-5);  // a refused value leaves the field alone
}

TEST_CASE("options: required ones are named together, and an empty value is none") {
  Settings s;
  OptionsTable table = table_of(s);
  CHECK(contains(message_of([&] { table.check_required(); }), "--model"));
  table.find_flag("model")->set({""}, "--model", OptionOrigin::flag);
  CHECK(contains(message_of([&] { table.check_required(); }), "--model"));
  table.find_flag("model")->set({"m"}, "--model", OptionOrigin::flag);
  CHECK_NOTHROW(table.check_required());
}

TEST_CASE("options of two tables join, and a flag declared twice is our bug") {
  Settings s;
  bool quiet = false;
  OptionsTable table = table_of(s), common;
  common.add("quiet", &quiet, "quiet");
  table.include(std::move(common));
  table.find_flag("quiet")->set({"true"}, "--quiet", OptionOrigin::flag);
  CHECK(quiet);
  CHECK_THROWS_AS(table.add("steps", &s.steps, "again"), ContractError);
}

TEST_CASE("options: the resolved table reads back from TOML as the same values") {
  Settings s;
  OptionsTable table = table_of(s);
  s.model = "a \"b\"\\c\n\x01 \xC3\xA9";
  s.rate = 0.1 + 0.2;
  s.stop = {"x", "y, z"};
  s.ids = {7, 8};
  s.mask = false;
  Settings back;
  OptionsTable other = table_of(back);
  apply_text(other, table.to_toml());
  CHECK(back.model == s.model);
  CHECK(back.rate == s.rate);
  CHECK(back.clip == s.clip);
  CHECK(back.stop == s.stop);
  CHECK(back.ids == s.ids);
  CHECK_FALSE(back.mask);
  CHECK(other.to_json() == table.to_json());
  const Json json = parse_json(table.to_json(), "table");
  CHECK(json["learning_rate"].GetDouble() == s.rate);
  CHECK(json["schedule"].GetString() == std::string("cosine"));
  CHECK(json["stop"][1].GetString() == std::string("y, z"));
}

TEST_CASE("configuration file: strings, numbers, arrays over lines, comments and sections") {
  Settings s;
  OptionsTable table = table_of(s);
  apply_text(table,
             "# a comment\r\n"
             "model = 'C:\\models'  # literal\n"
             "\"learning_rate\" = 3e-4\n"
             "[grpo]\n"
             "whatever = 1\n"
             "[sft]\n"
             "stop = [ \"a\\tb\", # first\n"
             "  \"\\u00e9\\U0001F600\",\n"
             "]\n"
             "ids = []\n"
             "clip = 1\n"
             "steps = +20\n"
             "mask = false");
  CHECK(s.model == "C:\\models");
  CHECK(s.rate == 3e-4);
  CHECK(s.stop == std::vector<std::string>{"a\tb", "\xC3\xA9\xF0\x9F\x98\x80"});
  CHECK(s.clip == 1.0f);
  CHECK(s.steps == 20);
  CHECK_FALSE(s.mask);
}

TEST_CASE("configuration file: mistakes are named with file and line") {
  Settings s;
  OptionsTable table = table_of(s);
  const auto error = [&](const std::string& text) {
    return message_of([&] { apply_text(table, text); });
  };
  CHECK(contains(error("\nlearning_rat = 1e-4\n"), "f.toml:2: unknown configuration key"));
  CHECK(contains(error("learning_rat = 1e-4"), "did you mean 'learning_rate'?"));
  CHECK(contains(error("[gprо]\n"), "f.toml:1"));
  CHECK(contains(error("[grop]\nsteps = 1"), "did you mean 'grpo'?"));
  CHECK(contains(error("steps = 1\nsteps = 2"), "f.toml:2: configuration key given twice"));
  CHECK(contains(error("steps = \"1\""), "expected: a whole number"));
  CHECK(contains(error("stop = \"x\""), "an array of"));
  CHECK(contains(error("steps = [1]"), "an array"));
  CHECK(contains(error("steps 3"), "'=' after the key"));
  CHECK(contains(error("model = \"open\n"), "f.toml:1: a string does not end"));
  CHECK(contains(error("model = yes"), "cannot read the value"));
  CHECK(contains(error("steps = 3 4"), "text after the value"));
  CHECK(contains(error("stop = [\"a\", 1]"), "mixes kinds"));
  CHECK(contains(error("stop = [\"a\""), "',' or ']'"));
  CHECK(contains(error("steps = 0"), "f.toml:1: steps is out of range"));
}
