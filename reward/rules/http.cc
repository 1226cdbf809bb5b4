#include "reward/rules/http.h"

#include "core/error.h"
#include "core/http.h"
#include "reward/text.h"
#include "reward/verdict_json.h"

namespace temper {
namespace {

struct HttpOptions {
  std::string url, header;
  double timeout = 30.0, backoff = 0.5;
  int64_t retries = 3, batch = 16;
};

// The list of verdicts of an answer, or nullptr.
const JsonValue* verdict_list(const Json& json) {
  if (json.IsArray()) return &json;
  const JsonValue* list = find_member(json, "verdicts");
  return list != nullptr && list->IsArray() ? list : nullptr;
}

class HttpRule final : public RewardRule {
 public:
  explicit HttpRule(const HttpOptions& options) : options_(options) {}

  size_t batch_size() const override { return static_cast<size_t>(options_.batch); }

  Verdict score(const RewardInput& input) const override {
    return std::move(score_batch({&input, 1}).front());
  }

  std::vector<Verdict> score_batch(std::span<const RewardInput> inputs) const override {
    HttpRequest request{.url = options_.url, .body = "{\"samples\":["};
    for (size_t i = 0; i < inputs.size(); ++i) {
      request.body += (i == 0 ? "" : ",") + judgement_request(inputs[i]);
    }
    request.body += "]}";
    request.timeout_seconds = options_.timeout;
    if (!options_.header.empty()) request.headers.push_back(options_.header);
    const HttpAnswer answer =
        post_json(request, {.retries = options_.retries, .backoff_seconds = options_.backoff});
    if (answer.status == 0) return all_errors(inputs.size(), "no answer: " + answer.failure);
    if (answer.status < 200 || answer.status > 299) {
      return all_errors(inputs.size(), "the server answered " + std::to_string(answer.status) +
                                           ": " + shortened(trimmed(answer.body), 200));
    }
    return read(answer.body, inputs.size());
  }

 private:
  static std::vector<Verdict> all_errors(size_t count, const std::string& reason) {
    return std::vector<Verdict>(count, verdict_error(reason));
  }

  // One verdict a sample, or an error for every one: a list of another length may be one off.
  static std::vector<Verdict> read(const std::string& body, size_t count) {
    try {
      const Json json = parse_json(body, "answer");
      const JsonValue* list = verdict_list(json);
      if (list == nullptr) return all_errors(count, "the answer is no list of verdicts");
      if (list->Size() != count) {
        return all_errors(count, std::to_string(list->Size()) + " verdicts for " +
                                     std::to_string(count) + " samples");
      }
      std::vector<Verdict> verdicts;
      for (const JsonValue& verdict : list->GetArray()) {
        verdicts.push_back(read_judgement(verdict));
      }
      return verdicts;
    } catch (const UserError& error) {
      return all_errors(count, "the answer is not JSON: " + shortened(body));
    }
  }

  HttpOptions options_;
};

std::unique_ptr<RewardRule> make_http(const RuleParameters& p) {
  const HttpOptions o{.url = p.text("url"),
                      .header = p.text("header"),
                      .timeout = p.number("timeout"),
                      .backoff = p.number("backoff"),
                      .retries = p.integer("retries"),
                      .batch = p.integer("batch")};
  const bool known = o.url.starts_with("http://") || o.url.starts_with("https://");
  if (!known || o.timeout <= 0 || o.backoff < 0 || o.retries < 0 || o.batch < 1) {
    throw UserError({.what = "bad parameters of reward rule 'http'",
                     .expected = "an http:// or https:// url, a timeout above 0, a batch of 1 or "
                                 "more, and retries and backoff of 0 or more",
                     .found = "url '" + o.url + "'",
                     .hint = "for instance http(url=\"http://localhost:8000/score\")=1"});
  }
  return std::make_unique<HttpRule>(o);
}

}  // namespace

RuleInfo http_rule() {
  return {"http",
          "a server judges: JSON over HTTP",
          {{"url", "", "where to POST; must be given"},
           {"header", "", "one more header: \"Authorization: Bearer ...\""},
           {"timeout", "30", "seconds for a request"},
           {"retries", "3", "how often a request is tried again"},
           {"backoff", "0.5", "seconds before the first new try; doubles each time"},
           {"batch", "16", "completions of a request, at most"}},
          make_http};
}

}  // namespace temper
