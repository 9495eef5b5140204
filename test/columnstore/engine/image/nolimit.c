/*
 * The engine refuses to start unless it may open 65536 files, and asks for that limit itself. A container whose host lacks CAP_SYS_RESOURCE
 * cannot give it, and a test never opens so many. Loaded before the C library, this grants the wish on paper: it raises the limit as far as
 * it goes and from then on answers with what was wished for. All other limits, and wishes that can be granted, are left alone.
 */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct rlimit wished;
static int refused;

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
  struct rlimit real;

  if (syscall(SYS_setrlimit, resource, limit) == 0)
    return 0;
  if (resource != RLIMIT_NOFILE)
    return -1;
  wished = *limit;
  refused = 1;
  if (syscall(SYS_getrlimit, resource, &real) == 0) {
    real.rlim_cur = real.rlim_max;
    syscall(SYS_setrlimit, resource, &real);
  }
  return 0;
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
  if (resource == RLIMIT_NOFILE && refused) {
    *limit = wished;
    return 0;
  }
  return syscall(SYS_getrlimit, resource, limit);
}

/* On 64 bits the two structures are one; programs call either name. */
int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
  return setrlimit(resource, (const struct rlimit *)limit);
}

int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limit)
{
  return getrlimit(resource, (struct rlimit *)limit);
}
