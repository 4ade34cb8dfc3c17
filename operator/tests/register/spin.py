import os
import time

OLD, NEW = "/sys/fs/cgroup/cpu/", "/sys/fs/cgroup/"


def read(name):
    with open((OLD if os.path.exists(OLD + "cpu.stat") else NEW) + name) as file:
        return file.read()


def most():
    if os.path.exists(OLD + "cpu.stat"):
        return read("cpu.cfs_quota_us"), read("cpu.cfs_period_us")
    return read("cpu.max").split()


def held():
    return int(dict(line.split() for line in read("cpu.stat").splitlines())["nr_throttled"])


def spin(until):
    """A loaded machine gives it less than the limit for a while: it goes on until it was held, within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end and held() == until:
        for _ in range(1_000_000):
            pass


before = held()
if child := os.fork():
    spin(before)
    os.waitpid(child, 0)
    print(*(number.strip() for number in most()), held() - before)
else:
    spin(before)
    os._exit(0)
