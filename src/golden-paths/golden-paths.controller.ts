import { Body, Controller, Get, Headers, HttpCode, Param, Post } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiBody,
  ApiConsumes,
  ApiExtraModels,
  ApiOkResponse,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';
import { Requires } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import {
  CatalogueReloaded,
  CatalogueValidation,
  GoldenPathSummary,
  GoldenPathView,
  ParameterView,
  toGoldenPathView,
  toSummary,
} from './golden-path.dto.js';
import { GoldenPathsService } from './golden-paths.service.js';
import { parameterSchema } from './parameter-schema.js';

const EXAMPLE_WORKFLOW = `kind: Workflow
metadata:
  name: hello
spec:
  steps:
    - name: greet
      type: bash
      config:
        command: echo hello
`;

/** The catalogue: what can be asked for. */
@ApiTags('golden paths')
@ApiBearerAuth()
@ApiProblems('unauthorized')
@ApiExtraModels(GoldenPathSummary, ParameterView)
@Controller('api/golden-paths')
export class GoldenPathsController {
  constructor(private readonly goldenPaths: GoldenPathsService) {}

  /** All golden paths, by name. */
  @Get()
  @Requires('catalogue:read')
  @ApiOkResponse({ schema: { type: 'object', additionalProperties: { $ref: getSchemaPath(GoldenPathSummary) } } })
  list(): Record<string, GoldenPathSummary> {
    return Object.fromEntries(this.goldenPaths.all().map((path) => [path.name, toSummary(path)]));
  }

  /** One golden path, with its parameters and its steps. */
  @Get(':name')
  @Requires('catalogue:read')
  @ApiProblems('golden_path_not_found')
  detail(@Param('name') name: string): GoldenPathView {
    return toGoldenPathView(this.goldenPaths.get(name));
  }

  /** The parameters of a golden path as JSON Schema (2020-12), for forms. */
  @Get(':name/schema')
  @Requires('catalogue:read')
  @ApiProblems('golden_path_not_found')
  @ApiOkResponse({ schema: { type: 'object', additionalProperties: true } })
  schema(@Param('name') name: string): Record<string, unknown> {
    return parameterSchema(this.goldenPaths.get(name));
  }

  /**
   * Checks without changing anything: the catalogue on disk, or the one in the body, or workflows (`kind: Workflow`, one or
   * more documents). Files that a catalogue in the body names are those beside the one on disk.
   */
  @Post('validate')
  @Requires('catalogue:validate')
  @HttpCode(200)
  @ApiConsumes('application/yaml', 'application/json')
  @ApiBody({ required: false, schema: { type: 'string', example: EXAMPLE_WORKFLOW } })
  @ApiProblems('body_too_large', 'unsupported_media_type')
  async validate(
    @Body() body: Buffer | undefined,
    @Headers('content-type') contentType: string | undefined,
  ): Promise<CatalogueValidation> {
    const { valid, goldenPaths, errors } = await this.goldenPaths.validate(body, contentType);
    return { valid, golden_paths: [...goldenPaths], errors: [...errors] };
  }

  /** Reads the catalogue on disk anew. With an error in it, the one read before stays in force. */
  @Post('reload')
  @Requires('catalogue:reload')
  @HttpCode(200)
  @ApiProblems('invalid_catalogue')
  async reload(): Promise<CatalogueReloaded> {
    return { golden_paths: [...(await this.goldenPaths.reload())] };
  }
}
