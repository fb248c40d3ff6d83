/* The first process of a pod's shared pid namespace. Built without any library: the whole program is a few hundred
   bytes, and one page of memory when it runs. */
#include <asm/unistd.h>
#include <linux/signal.h>

#define SIGCHLD_NUMBER 17
#define SIGTERM_NUMBER 15
#define SIGINT_NUMBER 2

static long Call4(long number, long a, long b, long c, long d) {
#if defined(__x86_64__)
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
#else
#error "no system call for this machine"
#endif
}

void _start(void) {
  unsigned long wanted = (1UL << (SIGCHLD_NUMBER - 1)) | (1UL << (SIGTERM_NUMBER - 1)) | (1UL << (SIGINT_NUMBER - 1));
  Call4(__NR_rt_sigprocmask, 0, (long)&wanted, 0, sizeof wanted);
  for (;;) {
    long signal = Call4(__NR_rt_sigtimedwait, (long)&wanted, 0, 0, sizeof wanted);
    if (signal == SIGTERM_NUMBER || signal == SIGINT_NUMBER) Call4(__NR_exit_group, 0, 0, 0, 0);
    while (Call4(__NR_wait4, -1, 0, 1, 0) > 0) {
    }
  }
}
