#include "node/pages/body.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/env/blocking.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

class ReadOnlyStream : public Stream {
 public:
  Task<Status> Write(std::string_view) override { co_return InternalError("read only"); }
  Task<Status> CloseWrite() override { co_return Status::Ok(); }
  void Close() override { closed_ = true; }

 protected:
  bool closed_ = false;
};

class TextBody : public ReadOnlyStream {
 public:
  explicit TextBody(std::string text) : text_(std::move(text)) {}

  Task<Result<size_t>> Read(std::span<char> into) override {
    if (closed_) co_return Canceled("closed");
    const size_t count = std::min(into.size(), text_.size() - at_);
    std::memcpy(into.data(), text_.data() + at_, count);
    at_ += count;
    co_return count;
  }

 private:
  const std::string text_;
  size_t at_ = 0;
};

class FileBody : public ReadOnlyStream {
 public:
  FileBody(Env& env, UniqueFd file)
      : env_(env), file_(std::make_shared<UniqueFd>(std::move(file))) {}

  Task<Result<size_t>> Read(std::span<char> into) override {
    if (closed_) co_return Canceled("closed");
    // The buffer is the reader's, who may be gone when the read is done.
    auto read = [file = file_, at = at_, room = into.size()] {
      std::string bytes(room, '\0');
      const ssize_t count = pread(file->get(), bytes.data(), room, static_cast<off_t>(at));
      bytes.resize(count < 0 ? 0 : static_cast<size_t>(count));
      return bytes;
    };
    const std::string bytes = co_await RunBlocking(env_, std::move(read));
    std::memcpy(into.data(), bytes.data(), bytes.size());
    at_ += bytes.size();
    co_return bytes.size();
  }

 private:
  Env& env_;
  const std::shared_ptr<UniqueFd> file_;
  size_t at_ = 0;
};

}  // namespace

std::unique_ptr<Stream> MakeTextBody(std::string text) {
  return std::make_unique<TextBody>(std::move(text));
}

Result<std::unique_ptr<Stream>> OpenFileBody(Env& env, const std::string& path) {
  UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (!file || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return Status(Code::kNotFound, path + " is no file");
  return std::unique_ptr<Stream>(std::make_unique<FileBody>(env, std::move(file)));
}

}  // namespace gantry::node
