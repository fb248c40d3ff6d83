#include <utility>

#include "apiserver/http/handler.h"
#include "base/env/notifier.h"

namespace gantry::apiserver {

Task<Status> BodyWriter::Drain(Env& env, BodySource& source) {
  const auto waker = std::make_shared<NotifyingWaker>();
  source.Start(waker);
  while (true) {
    std::shared_ptr<const std::string> chunk;
    const BodySource::State state = source.Take(&chunk);
    if (chunk != nullptr) GANTRY_CO_TRY(co_await Write(std::move(chunk)));
    if (state == BodySource::State::kEnd) co_return Status::Ok();
    if (state == BodySource::State::kIdle) co_await waker->notifier.Wait(env);
  }
}

}  // namespace gantry::apiserver
