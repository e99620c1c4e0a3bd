// SPDX-License-Identifier: Apache-2.0
// Runs a program in a container of its own, as runtimes do it: a mount namespace, a fresh layer over an image, and
// that as the root, beside which nothing of the host's file systems is left.
//
//     contain IMAGE LAYER PROGRAM ARGUMENT...
//
// IMAGE is the directory that all containers of it share, LAYER an existing directory for upper, work and merged:
// with that of an ended container, it is that container again.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

static void make(const char *directory)
{
	check(mkdir(directory, 0755) && errno != EEXIST, directory);
}

int main(int argc, char **argv)
{
	char layers[4096];

	if (argc < 4)
		return 2;
	check(unshare(CLONE_NEWNS), "unshare");
	check(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	check(chdir(argv[2]), argv[2]);
	make("upper");
	make("work");
	make("merged");
	snprintf(layers, sizeof(layers), "lowerdir=%s,upperdir=upper,workdir=work", argv[1]);
	check(mount("overlay", "merged", "overlay", 0, layers), layers);
	check(chdir("merged"), "merged");
	check((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
	check(umount2(".", MNT_DETACH), "the old root");
	check(chdir("/"), "/");
	execv(argv[3], argv + 3);
	perror(argv[3]);
	return 1;
}
