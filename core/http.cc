#include "core/http.h"

#include <curl/curl.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

namespace temper {
namespace {

struct Sink {
  std::string body;
  size_t most;
};

size_t take(char* data, size_t size, size_t count, void* user) {
  Sink& sink = *static_cast<Sink*>(user);
  if (sink.body.size() + size * count > sink.most) return 0;  // ends the transfer
  sink.body.append(data, size * count);
  return size * count;
}

struct CloseHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

}  // namespace

HttpAnswer post_json(const HttpRequest& request) {
  static std::once_flag initialised;
  std::call_once(initialised, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  HttpAnswer answer;
  const std::unique_ptr<CURL, CloseHandle> handle(curl_easy_init());
  if (!handle) {
    answer.failure = "libcurl cannot start";
    return answer;
  }
  std::unique_ptr<curl_slist, FreeList> headers(
      curl_slist_append(nullptr, "Content-Type: application/json"));
  for (const std::string& header : request.headers) {
    curl_slist* longer = curl_slist_append(headers.get(), header.c_str());
    if (longer != headers.get()) headers.release(), headers.reset(longer);
  }
  Sink sink{{}, request.max_answer};
  char message[CURL_ERROR_SIZE] = "";
  CURL* curl = handle.get();
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout_seconds * 1e3));
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);  // signals and threads do not go together
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) {
    answer.failure = message[0] != '\0' ? message : curl_easy_strerror(code);
    return answer;
  }
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
  answer.body = std::move(sink.body);
  return answer;
}

HttpAnswer post_json(const HttpRequest& request, const HttpRetries& retries) {
  const auto worth_another_try = [](long status) {
    return status == 0 || status == 408 || status == 429 || status >= 500;
  };
  double wait = retries.backoff_seconds;
  for (int64_t tries = 0;; ++tries, wait *= 2.0) {
    HttpAnswer answer = post_json(request);
    if (tries == retries.retries || !worth_another_try(answer.status)) return answer;
    std::this_thread::sleep_for(std::chrono::duration<double>(wait));
  }
}

}  // namespace temper
