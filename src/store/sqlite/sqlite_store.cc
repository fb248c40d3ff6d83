#include "store/sqlite/sqlite_store.h"

#include "store/core/engine.h"
#include "store/sqlite/sqlite_log.h"

namespace gantry::store {

Result<std::unique_ptr<Store>> OpenSqliteStore(Env& env, SqliteOptions options) {
  GANTRY_ASSIGN(SqliteLog::Opened opened, SqliteLog::Open(options));
  return std::unique_ptr<Store>(
      std::make_unique<Engine>(env, std::move(opened.log), std::move(opened.history),
                               opened.last_row, std::move(opened.garbage), options.failpoints));
}

}  // namespace gantry::store
