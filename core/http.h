// HTTP requests through libcurl. The only file pair that knows it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace temper {

struct HttpRequest {
  std::string url;
  std::string body;                       // of a POST
  std::vector<std::string> headers = {};  // "Name: value"
  double timeout_seconds = 30.0;          // for all of it, connecting included
  size_t max_answer = 64 << 20;           // bytes
};

struct HttpAnswer {
  long status = 0;  // 0: no answer came, see `failure`
  std::string body = {};
  std::string failure = {};  // in words
};

// Posts a JSON body and waits for the answer. Only http and https; redirections are not followed.
// Thread-safe. Throws: nothing; what goes wrong is in the answer.
HttpAnswer post_json(const HttpRequest& request);

// The same, tried again where no connection can be made, the time is over, or the status is 408,
// 429 or 5xx: up to `retries` times, after `backoff_seconds` and then twice as long each time.
struct HttpRetries {
  int64_t retries = 3;
  double backoff_seconds = 0.5;
};
HttpAnswer post_json(const HttpRequest& request, const HttpRetries& retries);

}  // namespace temper
