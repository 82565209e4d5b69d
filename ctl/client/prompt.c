// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/client/prompt.h"

#include <errno.h>
#include <histedit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/client/command.h"
#include "ctl/client/complete.h"

enum {
	HISTORY_LINES = 500,
	SCREEN_WIDTH = 80
};

struct prompt {
	const char *socket;
	EditLine *editor;
	History *history;
	Tokenizer *tokenizer;
};

// -- completion

struct found {
	size_t count;
	char **words;
};

static void add_word(void *ctx, const char *word)
{
	struct found *found = ctx;
	char **words = realloc(found->words, (found->count + 1) * sizeof(*words));
	if (!words)
		return;
	found->words = words;
	words[found->count] = strdup(word);
	found->count += words[found->count] != NULL;
}

static void found_free(struct found *found)
{
	for (size_t i = 0; i < found->count; i++)
		free(found->words[i]);
	free(found->words);
}

// How long a start all of them have in common.
static size_t common(const struct found *found)
{
	size_t len = strlen(found->words[0]);
	for (size_t i = 1; i < found->count; i++)
		while (strncmp(found->words[0], found->words[i], len))
			len--;
	return len;
}

static void list(const struct found *found)
{
	struct winsize size;
	size_t width = 0, screen = SCREEN_WIDTH;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		screen = size.ws_col;
	for (size_t i = 0; i < found->count; i++)
		if (strlen(found->words[i]) > width)
			width = strlen(found->words[i]);
	size_t columns = screen / (width + 2) ? screen / (width + 2) : 1;
	putchar('\n');
	for (size_t i = 0; i < found->count; i++)
		printf("%-*s%s", (int)width + 2, found->words[i],
			(i + 1) % columns && i + 1 < found->count ? "" : "\n");
	fflush(stdout);
}

// What is typed of the last word: no name or key of Weir has a blank or a quote inside.
static size_t typed_len(const char *line)
{
	const char *blank = strrchr(line, ' ');
	return strlen(blank ? blank + 1 : line);
}

static unsigned char insert(EditLine *editor, const char *line, const struct found *found)
{
	size_t typed = typed_len(line), len = common(found);
	const char *word = found->words[0];
	// A word in quotes cannot be gone on with.
	if (strncmp(word, line + strlen(line) - typed, typed))
		return CC_ERROR;
	bool whole = found->count == 1 && word[strlen(word) - 1] != '=';
	if (len <= typed && !whole) {
		list(found);
		return CC_REDISPLAY;
	}
	char *more = strndup(word + typed, len > typed ? len - typed : 0);
	if (more && *more)
		el_insertstr(editor, more);
	free(more);
	if (whole)
		el_insertstr(editor, " ");
	return CC_REFRESH;
}

static unsigned char on_tab(EditLine *editor, int key)
{
	struct prompt *prompt;
	struct found found = {0};
	unsigned char done = CC_ERROR;
	const LineInfo *info = el_line(editor);
	el_get(editor, EL_CLIENTDATA, &prompt);
	char *line = strndup(info->buffer, (size_t)(info->cursor - info->buffer));
	if (!line)
		return CC_ERROR;
	enum complete_kind kind = complete_line(line, prompt->socket, add_word, &found);
	// Its own command is in no table: outside the prompt there is nothing to leave.
	if (strchr(line, ' ') == NULL && !strncmp(line, "exit", strlen(line)))
		add_word(&found, "exit");
	if (kind == COMPLETE_FILE)
		done = _el_fn_complete(editor, key);
	else if (found.count)
		done = insert(editor, line, &found);
	found_free(&found);
	free(line);
	return done;
}

// -- lines

static char *prompt_text(EditLine *editor)
{
	(void)editor;
	static char text[] = "weir> ";
	return text;
}

static void on_interrupt(int signal)
{
	(void)signal;
	link_interrupted = 1;
}

static void run_words(const struct prompt *prompt, int argc, const char **argv)
{
	// The parser reorders its words, and the tokenizer goes on with its own.
	char **words = calloc((size_t)argc + 1, sizeof(*words));
	for (int i = 0; words && i < argc; i++)
		words[i] = (char *)argv[i];
	if (words)
		command_run(argc, words, prompt->socket, false);
	free(words);
}

// Whether to go on.
static bool run_line(const struct prompt *prompt, const char *line)
{
	int argc;
	const char **argv;
	bool leave = false;
	HistEvent event;
	tok_reset(prompt->tokenizer);
	if (tok_str(prompt->tokenizer, line, &argc, &argv)) {
		fputs("weirctl: a quote has no end\n", stderr);
	} else if (argc) {
		history(prompt->history, &event, H_ENTER, line);
		leave = argc == 1 && !strcmp(argv[0], "exit");
		if (!leave)
			run_words(prompt, argc, argv);
	}
	return !leave;
}

static void read_lines(const struct prompt *prompt)
{
	bool go_on = true;
	while (go_on) {
		int len = 0;
		link_interrupted = 0;
		// The terminal may have another size than at the last line.
		el_resize(prompt->editor);
		const char *line = el_gets(prompt->editor, &len);
		if (line && len > 0) {
			link_interrupted = 0;
			go_on = run_line(prompt, line);
		} else if (link_interrupted) {
			putchar('\n');
			el_reset(prompt->editor);
		} else {
			go_on = false;
			putchar('\n');
		}
	}
}

static bool prepare(struct prompt *prompt)
{
	HistEvent event;
	prompt->history = history_init();
	prompt->tokenizer = tok_init(NULL);
	prompt->editor = el_init("weirctl", stdin, stdout, stderr);
	if (!prompt->history || !prompt->tokenizer || !prompt->editor)
		return false;
	history(prompt->history, &event, H_SETSIZE, HISTORY_LINES);
	history(prompt->history, &event, H_SETUNIQUE, 1);
	el_set(prompt->editor, EL_CLIENTDATA, prompt);
	el_set(prompt->editor, EL_PROMPT, prompt_text);
	el_set(prompt->editor, EL_EDITOR, "emacs");
	el_set(prompt->editor, EL_HIST, history, prompt->history);
	el_set(prompt->editor, EL_ADDFN, "weir-complete", "what may stand here", on_tab);
	el_set(prompt->editor, EL_BIND, "^I", "weir-complete", NULL);
	return true;
}

int prompt_run(const char *socket)
{
	struct prompt prompt = {.socket = socket};
	struct sigaction before, action = {.sa_handler = on_interrupt};
	int status = EXIT_DONE;
	sigaction(SIGINT, &action, &before);
	if (prepare(&prompt)) {
		puts("Weir's commands; Tab completes, help explains, Ctrl-D or exit leaves.");
		read_lines(&prompt);
	} else {
		fputs("weirctl: no prompt on this terminal\n", stderr);
		status = EXIT_REFUSED;
	}
	if (prompt.editor)
		el_end(prompt.editor);
	if (prompt.tokenizer)
		tok_end(prompt.tokenizer);
	if (prompt.history)
		history_end(prompt.history);
	sigaction(SIGINT, &before, NULL);
	return status;
}
