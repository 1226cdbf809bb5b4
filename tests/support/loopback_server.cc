#include "tests/support/loopback_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace temper::test {

LoopbackServer::LoopbackServer(Handler answer) : answer_(std::move(answer)) {
  socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  if (socket_ < 0 || bind(socket_, plain, size) != 0 || listen(socket_, 64) != 0 ||
      getsockname(socket_, plain, &size) != 0) {
    throw_errno("cannot listen on 127.0.0.1");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

LoopbackServer::~LoopbackServer() {
  stop_ = true;
  thread_.join();
  close(socket_);
}

void LoopbackServer::serve() {
  while (!stop_) {
    pollfd ready{socket_, POLLIN, 0};
    if (poll(&ready, 1, 20) <= 0) continue;
    const int connection = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    serve_one(connection);
    close(connection);
  }
}

void LoopbackServer::serve_one(int connection) {
  std::string text;
  size_t head = std::string::npos, length = 0;
  while (head == std::string::npos || text.size() < head + 4 + length) {
    char part[4096];
    const ssize_t n = recv(connection, part, sizeof part, 0);
    if (n <= 0) return;
    text.append(part, static_cast<size_t>(n));
    if (head != std::string::npos) continue;
    head = text.find("\r\n\r\n");
    const char* field =
        head == std::string::npos ? nullptr : strcasestr(text.c_str(), "content-length:");
    if (field != nullptr) length = std::strtoul(field + 15, nullptr, 10);
    if (head != std::string::npos && text.find("100-continue") < head) {
      const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      send(connection, go_on.data(), go_on.size(), MSG_NOSIGNAL);
    }
  }
  ++requests_;
  const ServedAnswer answer = answer_(text.substr(head + 4), text.substr(0, head));
  std::this_thread::sleep_for(std::chrono::duration<double>(answer.delay_seconds));
  const std::string reply =
      "HTTP/1.1 " + std::to_string(answer.status) +
      " X\r\nConnection: close\r\nContent-Length: " + std::to_string(answer.body.size()) +
      "\r\n\r\n" + answer.body;
  send(connection, reply.data(), reply.size(), MSG_NOSIGNAL);
}

}  // namespace temper::test
