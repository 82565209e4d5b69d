// SPDX-License-Identifier: BSD-3-Clause
// The XML that plugs a libvirt domain into a port.
#include "ctl/server/port_json.h"

#include <stdio.h>
#include <stdlib.h>

// Text as it may stand in an attribute.
static void put_escaped(FILE *out, const char *text)
{
	static const char *const entities[256] = {['&'] = "&amp;",
		['<'] = "&lt;",
		['>'] = "&gt;",
		['\''] = "&apos;",
		['"'] = "&quot;"};
	for (; *text; text++) {
		const char *entity = entities[(unsigned char)*text];
		if (entity)
			fputs(entity, out);
		else
			fputc(*text, out);
	}
}

static void put_source(FILE *out, const struct port_info *info)
{
	bool vmm = info->config->vhost_user.listens == LISTENS_VMM;
	fputs("  <source type='unix' path='", out);
	put_escaped(out, info->socket_path);
	// A VMM that listens keeps its socket over a restart of the switch; one that connects must
	// be told to try again.
	if (vmm)
		fputs("' mode='server'/>\n", out);
	else
		fputs("' mode='client'>\n"
		      "    <reconnect enabled='yes' timeout='1'/>\n"
		      "  </source>\n",
			out);
}

char *port_libvirt_xml(const struct port_info *info)
{
	char *xml = NULL;
	size_t size;
	FILE *out = open_memstream(&xml, &size);
	if (!out)
		return NULL;
	fputs("<memoryBacking>\n"
	      "  <source type='memfd'/>\n"
	      "  <access mode='shared'/>\n"
	      "</memoryBacking>\n"
	      "<interface type='vhostuser'>\n",
		out);
	put_source(out, info);
	fputs("  <model type='virtio'/>\n", out);
	if (info->config->vhost_user.queues > 1)
		fprintf(out, "  <driver queues='%u'/>\n", info->config->vhost_user.queues);
	// libvirt 9.0 refuses <mtu> here: it looks for a host device to set it on, and there is
	// none.
	if (info->config->mtu != 1500)
		fprintf(out, "  <!-- set MTU %u in the guest -->\n", info->config->mtu);
	fputs("</interface>\n", out);
	return fclose(out) == 0 ? xml : NULL;
}
