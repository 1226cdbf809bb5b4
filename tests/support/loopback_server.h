// A small HTTP server on 127.0.0.1 for tests of what speaks HTTP.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

namespace temper::test {

struct ServedAnswer {
  int status = 200;
  std::string body = {};
  double delay_seconds = 0.0;
};

// Answers each POST with what `answer` makes of its body and its headers, one at a time, on a free
// port; until it is destroyed.
class LoopbackServer {
 public:
  using Handler = std::function<ServedAnswer(const std::string& body, const std::string& head)>;
  explicit LoopbackServer(Handler answer);
  ~LoopbackServer();
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  std::string base() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::string url() const { return base() + "/score"; }
  int requests() const { return requests_; }

 private:
  void serve();
  void serve_one(int connection);

  Handler answer_;
  int socket_ = -1, port_ = 0;
  std::atomic<int> requests_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace temper::test
