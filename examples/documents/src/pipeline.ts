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
  type NotReady,
  runsOf,
  stage,
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

/** A stage is polled soon at first, and less often the longer it has waited: others have work to do. */
function later(since: number) {
  return { pollIn: Math.min(Math.max(Math.round((Date.now() - since) / 2), 1_000), 60_000) };
}

/** What a poll answers: `note` is the stage's result in a line, for people. */
type Polled<T> = Promise<(T & { readonly note: string }) | NotReady>;

const keywords = stage({
  name: "Choose keywords",
  input: z.object({
    parse: z.object({ corpusId: z.string(), terms: z.record(z.string(), z.number()) }),
  }),
  run: ({ suspend }) => suspend({ note: "the index of the corpus", since: Date.now() }, WAIT),
  async poll({ input, env, annotate, notReady }, { since }): Polled<{ keywords: Keyword[] }> {
    const { corpusId, terms } = input.parse;
    const run = runsBy(env).get(corpus, corpusId);
    const indexed = await run.outputOf("index");
    if (indexed === undefined) {
      if (isOver((await run.output()).status)) throw new Fatal("The corpus has no index");
      return notReady(later(since));
    }
    const best = chooseKeywords(terms, indexed.index);
    for (const keyword of best) annotate("keyword.chosen", keyword);
    return { note: best.map(({ term }) => term).join(", ") || "none", keywords: best };
  },
});

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

const index = stage({
  name: "Index the corpus",
  input: z.union([
    z.object({ received: z.literal(true), payload: Listed }),
    z.object({ received: z.literal(false) }),
  ]),
  run({ input, suspend }) {
    if (!input.received) throw new Fatal("Its documents were not all submitted");
    return suspend(
      { note: "documents to be parsed", listed: input.payload, since: Date.now() },
      WAIT,
    );
  },
  async poll({ env, notReady }, { listed, since }): Polled<{ listed: Listed; index: CorpusIndex }> {
    const runs = runsBy(env);
    const parsed = [];
    for (const { runId } of listed) {
      const run = runs.get(documents, runId);
      const document = await run.outputOf("parse");
      if (document !== undefined) parsed.push(document);
      // One that has failed is left out.
      else if (!isOver((await run.output()).status)) return notReady(later(since));
    }
    const found = indexCorpus(parsed);
    const shared = count(Object.keys(found.frequencies).length, "term");
    const note = `${shared} in more than one of ${count(found.documents, "document")}`;
    return { note, listed, index: found };
  },
});

const summary = stage({
  name: "Summarize the corpus",
  input: z.object({ listed: Listed }),
  run: ({ suspend }) => suspend({ note: "documents to be done", since: Date.now() }, WAIT),
  async poll(
    { input, env, artifacts, notReady },
    { since },
  ): Polled<Omit<CorpusSummary, "markdown">> {
    const runs = runsBy(env);
    const reports = [];
    const missing = [];
    for (const { runId, path } of input.listed) {
      const output = await runs.get(documents, runId).output();
      if (!isOver(output.status)) return notReady(later(since));
      if (output.status === "COMPLETED") reports.push(output.value);
      else missing.push(path);
    }
    const { markdown, ...totals } = summarizeCorpus(reports, missing);
    artifacts.save(REPORT_KEY, markdown);
    const note = `${count(totals.documents, "document")}, ${count(totals.errors, "error")}`;
    return { note, ...totals };
  },
});

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
