#include "cli/startup_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

namespace gantry::cli {
namespace {

struct Mapping {
  uintptr_t begin = 0, end = 0;
  bool droppable = false;  // of a file and not writable
};

// The line that begins a mapping: "begin-end perms offset device inode path".
bool ParseMapping(const std::string& line, Mapping* mapping) {
  unsigned long begin = 0, end = 0;
  char permissions[5] = {};
  if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, permissions) != 3) return false;
  mapping->begin = begin;
  mapping->end = end;
  mapping->droppable = permissions[0] == 'r' && permissions[1] == '-' && permissions[3] == 'p' &&
                       line.find(" /") != std::string::npos;
  return true;
}

}  // namespace

void ReleaseStartupMemory() {
  malloc_trim(0);
  std::ifstream maps("/proc/self/smaps");
  std::stringstream text;
  text << maps.rdbuf();
  Mapping mapping;
  for (std::string line; std::getline(text, line);) {
    if (ParseMapping(line, &mapping)) continue;
    unsigned long kilobytes = 0;
    // Pages that differ from the file, as relocations make them, are not in it to be read again.
    if (!mapping.droppable || std::sscanf(line.c_str(), "Anonymous: %lu kB", &kilobytes) != 1)
      continue;
    if (kilobytes == 0)
      madvise(reinterpret_cast<void*>(mapping.begin), mapping.end - mapping.begin, MADV_DONTNEED);
  }
}

}  // namespace gantry::cli
