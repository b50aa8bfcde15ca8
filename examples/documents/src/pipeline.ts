/**
 * The work on a corpus, as two workflows:
 *
 *   documents (a run per document):  parse | check  ->  keywords  ->  report
 *   corpus (one run):                documents  ->  index  ->  summary
 *
 * The runs wait for one another: the corpus for the signal that names its documents, `index` for every
 * `parse`, `keywords` for `index`, `summary` for every document. A stage that has to wait suspends
 * itself, and is polled.
 */
import { connect, type WorkflowEngineBinding } from "workflow-engine-cloudflare/client";
import {
  Fatal,
  runsOf,
  stage,
  type StageContext,
  type StageEnv,
  workflow,
} from "workflow-engine-cloudflare/engine";
import * as z from "zod";
import { Document, isOver, Listed } from "./api.ts";
import { checkDocument } from "./stages/check.ts";
import { type CorpusIndex, indexCorpus } from "./stages/index-corpus.ts";
import { chooseKeywords, type Keyword } from "./stages/keywords.ts";
import { parseDocument } from "./stages/parse.ts";
import { count, reportDocument } from "./stages/report.ts";
import { type CorpusSummary, summarizeCorpus } from "./stages/summary.ts";

declare global {
  namespace Cloudflare {
    interface Env {
      readonly WORKFLOWS: WorkflowEngineBinding;
    }
  }
}

/** The artifact of a corpus run that holds the finished report. */
export const REPORT_KEY = "report.md";
const REMARKS_MAX = 50;
const WAIT = { pollIn: "1s", within: "1d" } as const;

/** What a stage gives: `note` is its result in a line, for people. */
type Noted<T> = T & { readonly note: string };

const Parsed = z.object({
  parse: z.object({ corpusId: z.string(), terms: z.record(z.string(), z.number()) }),
});

const keywords = stage({
  name: "Choose keywords",
  input: Parsed,
  run: async (context) =>
    (await chosen(context)) ?? context.suspend({ note: "the index of the corpus" }, WAIT),
  poll: async (context) => (await chosen(context)) ?? context.notReady(),
});

/** Null while the corpus has no index. */
async function chosen({
  input: { parse },
  env,
  annotate,
}: StageContext<z.infer<typeof Parsed>>): Promise<Noted<{ keywords: Keyword[] }> | null> {
  const run = runsBy(env).get(corpus, parse.corpusId);
  const { status } = await run.output();
  const found = await run.outputOf("index");
  if (found === undefined) {
    if (isOver(status)) throw new Fatal("The corpus has no index");
    return null;
  }
  const best = chooseKeywords(parse.terms, found.index);
  for (const keyword of best) annotate("keyword.chosen", keyword);
  return { note: best.map(({ term }) => term).join(", ") || "none", keywords: best };
}

export const documents = workflow("documents", {
  name: "Document",
  input: Document.extend({ corpusId: z.string() }),
  publish: true,
})
  .parallel({
    parse({ input }) {
      const parsed = parseDocument(input);
      const note = `${count(parsed.sectionCount, "section")}, ${count(parsed.words, "word")}`;
      return { note, path: input.path, corpusId: input.corpusId, ...parsed };
    },
    check({ input, annotate }) {
      const check = checkDocument(input);
      for (const finding of check.findings.slice(0, REMARKS_MAX)) {
        annotate(`finding.${finding.rule}`, finding);
      }
      const note = `${count(check.errors, "error")}, ${count(check.warnings, "warning")}`;
      return { note, ...check };
    },
  })
  .stage("keywords", keywords)
  .stage(
    "report",
    async ({ input, output }) => {
      const [parsed, check] = await Promise.all([output("parse"), output("check")]);
      const { path } = parsed;
      const report = reportDocument({ path, parsed, keywords: input.keywords, check });
      return { note: count(report.markdown.length, "character"), ...report };
    },
    { name: "Report on the document", retry: { attempts: 5, backoff: "1s" } },
  )
  .build();

type Runs = z.infer<typeof Listed>;

const Submitted = z.union([
  z.object({ received: z.literal(true), payload: Listed }),
  z.object({ received: z.literal(false) }),
]);

const index = stage({
  name: "Index the corpus",
  input: Submitted,
  run: async (context) =>
    (await indexed(context)) ?? context.suspend({ note: "documents to be parsed" }, WAIT),
  poll: async (context) => (await indexed(context)) ?? context.notReady(),
});

/** Null while a document is not parsed. Those that have failed are left out. */
async function indexed({ input, env }: StageContext<z.infer<typeof Submitted>>): Promise<Noted<{
  runs: Runs;
  index: CorpusIndex;
}> | null> {
  if (!input.received) throw new Fatal("Its documents were not all submitted");
  const runs = runsBy(env);
  const parsed = await Promise.all(
    input.payload.map(async ({ runId }) => {
      const run = runs.get(documents, runId);
      const { status } = await run.output();
      return (await run.outputOf("parse")) ?? (isOver(status) ? null : undefined);
    }),
  );
  if (parsed.includes(undefined)) return null;
  const found = indexCorpus(parsed.filter((document) => document != null));
  const shared = count(Object.keys(found.frequencies).length, "term");
  const note = `${shared} in more than one of ${count(found.documents, "document")}`;
  return { note, runs: input.payload, index: found };
}

const summary = stage({
  name: "Summarize the corpus",
  input: z.object({ runs: Listed }),
  run: async (context) =>
    (await summarized(context)) ?? context.suspend({ note: "documents to be done" }, WAIT),
  poll: async (context) => (await summarized(context)) ?? context.notReady(),
});

/** Null while a document is not done. */
async function summarized({
  input,
  env,
  artifacts,
}: StageContext<{ runs: Runs }>): Promise<Noted<Omit<CorpusSummary, "markdown">> | null> {
  const runs = runsBy(env);
  const ended = await Promise.all(
    input.runs.map(async ({ runId, path }) => ({
      path,
      output: await runs.get(documents, runId).output(),
    })),
  );
  if (!ended.every(({ output }) => isOver(output.status))) return null;
  const reports = ended.flatMap(({ output }) => ("value" in output ? [output.value] : []));
  const missing = ended.filter(({ output }) => !("value" in output)).map(({ path }) => path);
  const { markdown, ...totals } = summarizeCorpus(reports, missing);
  artifacts.save(REPORT_KEY, markdown);
  const note = `${count(totals.documents, "document")}, ${count(totals.errors, "error")}`;
  return { note, ...totals };
}

export const corpus = workflow("corpus", {
  name: "Corpus",
  input: z.object({ documents: z.number() }),
  publish: true,
})
  .waitFor("documents", { payload: Listed, within: "1h" })
  .stage("index", index)
  .stage("summary", summary)
  .build();

function runsBy(env: StageEnv) {
  return runsOf(connect(env.WORKFLOWS));
}
