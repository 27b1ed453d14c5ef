/* SPDX-License-Identifier: MIT */
/* The `holdfast` command: finds the subcommand and lets it do the rest. */
#include "run.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

struct command {
	const char *name;
	int (*main)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "run", run_command },
};

struct choice {
	const struct command *command;
	int at; /* its index in argv */
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct choice *choice = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		choice->command = find_command(arg);
		if (!choice->command)
			argp_error(state, "there is no command %s", arg);
		choice->at = state->next - 1;
		state->next = state->argc; /* the rest is the command's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,
		parse,
		"COMMAND [OPTION...]",
		"Holdfast: memory that stays where a device holds it, also across fork."
		"\vCommands:\n"
		"  run    fork a heap that a device writes into, check it, beside fork(2)\n\n"
		"`holdfast COMMAND --help` tells more.",
		NULL,
		NULL,
		NULL,
	};
	struct choice choice = { 0 };
	char name[64];

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice);
	snprintf(name, sizeof(name), "holdfast %s", choice.command->name);
	argv[choice.at] = name; /* for its messages */
	return choice.command->main(argc - choice.at, argv + choice.at);
}
