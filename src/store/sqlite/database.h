#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace gantry::store {

// Thin ownership over SQLite's handles. Threading: one thread at a time.

class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Parameters count from 1. Bytes are not copied: they stay valid until Run or Reset.
  void BindInt(int index, int64_t value);
  void BindText(int index, std::string_view value);
  void BindBlob(int index, std::string_view value);
  void BindNull(int index);

  // True: a row is there. False: done.
  Result<bool> Step();
  void Reset();
  // Steps to the end and resets.
  Status Run();

  // Columns count from 0.
  int64_t Int(int column) const;
  std::string_view Bytes(int column) const;  // valid until the next step
  bool IsNull(int column) const;

 private:
  friend class Database;
  sqlite3* database_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

class Database {
 public:
  // An existing file. `vfs` may be empty.
  static Result<Database> Open(const std::string& path, const std::string& vfs);
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  ~Database();

  Status Execute(const std::string& sql);
  Result<Statement> Prepare(const std::string& sql);
  // The only column of the only row.
  Result<int64_t> QueryInt(const std::string& sql);
  Result<std::string> QueryText(const std::string& sql);

  sqlite3* handle() { return handle_; }
  bool in_transaction() const;

  // The reason for `code` on this connection, as a Status; kServiceUnavailable when the disk is
  // full.
  static Status ToStatus(sqlite3* handle, int code);

 private:
  explicit Database(sqlite3* handle) : handle_(handle) {}
  sqlite3* handle_ = nullptr;
};

}  // namespace gantry::store
